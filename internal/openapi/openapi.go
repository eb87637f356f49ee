// Package openapi holds the OpenAPI document of the whole API and the pages for people made of it. `make generate` writes
// them; a test fails if they are not of the present documents of the services.
package openapi

import (
	"crypto/sha256"
	"embed"
	"encoding/base64"
)

// The files that `make generate` writes.
var (
	//go:embed openapi.yaml
	YAML []byte // the joined document
	//go:embed openapi.json
	JSON []byte // the same as JSON
	//go:embed reference.html
	Reference []byte // the page of all operations
	//go:embed problems.html
	Problems []byte // the page of all types of problems

	//go:embed problems/*.html
	problems embed.FS

	//go:embed style.css
	style []byte
)

// Problem returns the page of one type of problems, by the last part of the type, or nil.
func Problem(name string) []byte {
	page, err := problems.ReadFile("problems/" + name + ".html")
	if err != nil {
		return nil
	}
	return page
}

// Policy is the Content-Security-Policy of the pages: they load nothing, run nothing, and have the one style.
var Policy = func() string {
	sum := sha256.Sum256(style)
	return "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) +
		"'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
}()
