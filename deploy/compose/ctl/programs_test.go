package main

import (
	"os"
	"testing"

	"gopkg.in/yaml.v3"
)

// Every program is a container of compose.yaml, and what runs there for ever is a program.
func TestEveryProgramIsAContainer(t *testing.T) {
	text, err := os.ReadFile("../compose.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Services map[string]struct {
			Name    string `yaml:"container_name"`
			Restart string
		}
	}
	if err := yaml.Unmarshal(text, &file); err != nil {
		t.Fatal(err)
	}
	for _, name := range programs {
		p := program(name)
		if p.isLink() {
			if ends[p][0] == "" {
				t.Errorf("%s has no ends", p)
			}
			continue
		}
		if got := file.Services[p.service()].Name; got != p.container() {
			t.Errorf("%s: the container of %s is %q", p, p.service(), got)
		}
		delete(file.Services, p.service())
	}
	for name, s := range file.Services {
		if s.Restart != "" {
			t.Errorf("%s is no program", name)
		}
	}
}
