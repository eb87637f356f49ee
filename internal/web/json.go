package web

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"slices"
	"strings"
)

// MaxBody is the largest request body that is read, in bytes.
const MaxBody = 16 << 10

// ReadJSON reads a request's body into v, strictly: application/json, one value, known fields only, each
// once. It returns a *Problem (400, 413, 415, or 422 for a number that doesn't fit) or nil. raw is the body.
func ReadJSON(w http.ResponseWriter, r *http.Request, v any) (raw []byte, err error) {
	media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || media != "application/json" {
		return nil, NewProblem(http.StatusUnsupportedMediaType, "send the body as Content-Type: application/json")
	}
	raw, err = io.ReadAll(http.MaxBytesReader(w, r.Body, MaxBody))
	if err != nil {
		var tooLarge *http.MaxBytesError
		if errors.As(err, &tooLarge) {
			return nil, NewProblem(http.StatusRequestEntityTooLarge, fmt.Sprintf("the body is over %d bytes", MaxBody))
		}
		return nil, NewProblem(http.StatusBadRequest, "the body ended early")
	}
	d := json.NewDecoder(strings.NewReader(string(raw)))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return nil, jsonProblem(err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, NewProblem(http.StatusBadRequest, "there is data after the JSON value")
	}
	return raw, checkNames(raw)
}

// checkNames refuses what encoding/json lets pass in the names of a valid object: other letters ("Size",
// "\u0073ize") and the same name twice. Names here are plain lower case.
func checkNames(raw []byte) error {
	var room [8]string
	seen := room[:0]
	depth, name := 0, ""
	for i := 0; i < len(raw); i++ {
		switch raw[i] {
		case '{', '[':
			depth++
		case '}', ']':
			depth--
		case '"':
			begin := i + 1
			for i++; raw[i] != '"'; i++ {
				if raw[i] == '\\' {
					i++
				}
			}
			name = string(raw[begin:i])
		case ':':
			if strings.Trim(name, "abcdefghijklmnopqrstuvwxyz_") != "" {
				return NewProblem(http.StatusBadRequest, "unknown field", FieldError{name, "is not known here"})
			}
			if depth == 1 && slices.Contains(seen, name) {
				return NewProblem(http.StatusBadRequest, "a field is there twice", FieldError{name, "must be there once"})
			}
			if depth == 1 {
				seen = append(seen, name)
			}
		}
	}
	return nil
}

func jsonProblem(err error) *Problem {
	var wrongType *json.UnmarshalTypeError
	if errors.As(err, &wrongType) {
		if strings.HasPrefix(wrongType.Value, "number") && wrongType.Type.Kind().String() != "string" {
			return NewProblem(http.StatusUnprocessableEntity, "a value is out of range",
				FieldError{wrongType.Field, "must be a whole number within its range"})
		}
		return NewProblem(http.StatusBadRequest, "a field has the wrong type",
			FieldError{wrongType.Field, "can't be a JSON " + wrongType.Value})
	}
	// encoding/json has no type for this one.
	if field, ok := strings.CutPrefix(err.Error(), "json: unknown field "); ok {
		return NewProblem(http.StatusBadRequest, "unknown field", FieldError{strings.Trim(field, `"`), "is not known here"})
	}
	return NewProblem(http.StatusBadRequest, "the body is not a JSON object")
}
