package main

import _ "embed" // for the document

// document describes the routes. A test compares the two.
//
//go:embed openapi.yaml
var document []byte
