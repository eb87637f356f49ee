package opspage

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"html/template"
	"net/http"
)

//go:embed page.html page.css plot.js page.js operate.js
var files embed.FS

// file is the text of an embedded file.
func file(name string) string {
	text, err := files.ReadFile(name)
	if err != nil {
		panic("opspage: " + err.Error())
	}
	return string(text)
}

var (
	markup = file("page.html")
	style  = file("page.css")
	script = "\"use strict\";\n" + file("plot.js") + file("page.js") + file("operate.js")
)

// page is the document with its policy.
type page struct {
	text   []byte
	policy string
}

// newPage makes the document of a service. Style and script are within it, and the policy lets the browser use these two
// alone and connect to nobody but this listener.
func newPage(service string) page {
	var text bytes.Buffer
	t := template.Must(template.New("page").Parse(markup))
	view := struct {
		Service string
		Style   template.CSS
		Script  template.JS
	}{service, template.CSS(style), template.JS(script)} //nolint:gosec // our own files
	if err := t.Execute(&text, view); err != nil {
		panic("opspage: " + err.Error()) // the template is a part of the program
	}
	return page{text.Bytes(), "default-src 'none'; script-src '" + hash(script) + "'; style-src '" + hash(style) +
		"'; connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"}
}

func hash(text string) string {
	sum := sha256.Sum256([]byte(text))
	return "sha256-" + base64.StdEncoding.EncodeToString(sum[:])
}

func (p page) serve(w http.ResponseWriter, _ *http.Request) error {
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", p.policy)
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "no-store")
	_, err := w.Write(p.text)
	return err
}
