package main

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stock-pyramid/stock-pyramid/internal/openapi"
	"github.com/stock-pyramid/stock-pyramid/internal/web"
)

// The files are those of the present documents.
func TestTheFilesAreFresh(t *testing.T) {
	files, err := generate("../../..")
	if err != nil {
		t.Fatal(err)
	}
	there, err := filepath.Glob("../problems/*")
	if err != nil || len(there) != len(web.Kinds) {
		t.Errorf("%d pages of problems, want %d (%v): run make generate", len(there), len(web.Kinds), err)
	}
	for name, want := range files {
		if got, err := os.ReadFile("../" + name); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s is stale (%v): run make generate", name, err)
		}
	}
}

// The pages load nothing from anywhere, run nothing, and have the style whose hash their policy has.
func TestThePagesNeedNothingElse(t *testing.T) {
	style, err := os.ReadFile("../style.css")
	if err != nil {
		t.Fatal(err)
	}
	loads := regexp.MustCompile(`(?i)<(script|img|iframe|object|embed|video|audio|form)\b|\ssrc=|\sstyle=|\son[a-z]+=|@import|url\(`)
	icon := []byte(`<link rel="icon" href="data:,">`)
	for name, page := range map[string][]byte{"reference": openapi.Reference, "problems": openapi.Problems, "internal": openapi.Problem("internal")} {
		if found := loads.FindAll(page, -1); found != nil {
			t.Errorf("%s has %q", name, found)
		}
		if n := bytes.Count(page, []byte("<link")); n != 1 || !bytes.Contains(page, icon) {
			t.Errorf("%s has %d links", name, n)
		}
		if !bytes.Contains(page, []byte("<style>"+string(style)+"</style>")) || bytes.Count(page, []byte("<style")) != 1 {
			t.Errorf("%s has another style", name)
		}
	}
	if !regexp.MustCompile(`^default-src 'none'; style-src 'sha256-[A-Za-z0-9+/]{43}='; `).MatchString(openapi.Policy) {
		t.Error(openapi.Policy)
	}
}

// Each type of problem has a place on its page, with an example, and each link of a page has its target there.
func TestThePagesAreWhole(t *testing.T) {
	for _, k := range web.Kinds {
		name := strings.TrimPrefix(k.URI, "/problems/")
		for _, page := range [][]byte{openapi.Problems, openapi.Problem(name)} {
			if !bytes.Contains(page, []byte(`id="`+name+`"`)) || bytes.Count(page, []byte(`&#34;type&#34;: &#34;`+k.URI+`&#34;`)) != 1 {
				t.Errorf("%s is not described, or has no example", k.URI)
			}
		}
	}
	if openapi.Problem("../problems") != nil || openapi.Problem("other") != nil {
		t.Error("there are pages of other problems")
	}
	for _, m := range regexp.MustCompile(`href="#([^"]+)"`).FindAllSubmatch(openapi.Reference, -1) {
		if !bytes.Contains(openapi.Reference, []byte(`id="`+string(m[1])+`"`)) {
			t.Errorf("nothing is at #%s", m[1])
		}
	}
}
