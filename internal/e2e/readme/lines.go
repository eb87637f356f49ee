package main

import (
	"regexp"
	"slices"
	"strings"
)

var (
	fence   = regexp.MustCompile("(?ms)^```sh\n(.*?)^```$")
	comment = regexp.MustCompile(`\s+# .*$`)
	inline  = regexp.MustCompile("`([^`]+)`")
	command = regexp.MustCompile(`^(\w+=\S+ )*(make|deploy/local/\w+|bin/\w+|docker|sudo|export) `)
)

// blockLines are the lines of a text's code blocks, without comments.
func blockLines(text string) (lines []string) {
	for _, block := range fence.FindAllStringSubmatch(text, -1) {
		for line := range strings.Lines(block[1]) {
			lines = append(lines, comment.ReplaceAllString(strings.TrimRight(line, "\n "), ""))
		}
	}
	return lines
}

// inlineCommands are the commands within a text's sentences and tables, each once.
func inlineCommands(text string) (commands []string) {
	for _, code := range inline.FindAllStringSubmatch(fence.ReplaceAllString(text, ""), -1) {
		if c := strings.ReplaceAll(code[1], "\n", " "); command.MatchString(c) && !slices.Contains(commands, c) {
			commands = append(commands, c)
		}
	}
	return commands
}

// otherwise is how a line is run that would not end.
var otherwise = map[string]string{
	`curl -sN "$api/v1/raffles/$raffle/live?size=270"`: `timeout 3 curl -sN "$api/v1/raffles/$raffle/live?size=270" || [ $? = 124 ]`,
}

// after are the commands within sentences and tables, in an order in which they can be run once all blocks have been run.
var after = []string{
	"make status", "deploy/local/ctl backup", "deploy/local/loadtest level -h", "deploy/local/loadtest seed --scale 10x", "deploy/local/drill --list",
	"make up CORS_ORIGINS=https://shop.example.com,http://localhost:5173", "REPLICAS=1 make up", "make up MONITOR=netdata", "make down", "make clean",
	"make up TLS=1", "make capture", "make down", "make clean", "make up PORT_OFFSET=10000", "make down", "make clean", "make build",
}

const (
	ofCI     = "CI runs it"
	drill    = "it takes up to half an hour and has a target of its own"
	docker   = "it needs Docker"
	unnamed  = "it has no argument, or one that stands for others"
	machines = "it takes several machines"
)

// left are the commands that are not run, and why.
var left = map[string]string{
	"make test": ofCI, "make check": ofCI, "make drill": drill, "make restore-drill": drill, "make upgrade-drill": drill,
	"deploy/local/drill --short": drill, "deploy/local/drill freeze partition": drill,
	"make images": docker, "make compose-up": docker, "make compose-drill": docker, "make compose-down": docker,
	`make images ARCHES="amd64 arm64"`: docker, "docker cp pyramid-haproxy:/conf/haproxy/ca.crt .": docker,
	"SEED=full make up": "it takes ten minutes and twenty gigabytes", "make loadtest": "its lines are run one by one",
	"sudo apt-get install -y make":                      "make runs already",
	"export CURL_CA_BUNDLE=$PWD/.local/conf/tls/ca.crt": "it is for the lines above with TLS",
	"bin/loadtest compare":                              unnamed,
	"deploy/local/loadtest reconcile JOURNAL":           unnamed,
	"bin/loadtest agent --listen HOST:PORT":             machines,
	"bin/loadtest run --agents HOST:PORT,... LEVEL":     machines,
}

// script runs the lines of a text as one session of bash.
func script(text string) string {
	lines := []string{"set -euo pipefail"}
	for _, line := range append(blockLines(text), after...) {
		if _, not := left[line]; not {
			continue
		}
		if instead, is := otherwise[line]; is {
			line = instead
		}
		lines = append(lines, line)
	}
	return strings.Join(lines, "\n") + "\n"
}
