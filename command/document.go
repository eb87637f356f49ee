package main

import _ "embed" // for the document

// document describes the routes; a test holds the two together.
//
//go:embed openapi.yaml
var document []byte
