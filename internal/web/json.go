package web

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"reflect"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// MaxBody is the largest request body that is read, in bytes.
const MaxBody = 16 << 10

// strict refuses unknown names. The library itself enforces RFC 8259 and 7493: UTF-8 only, names are case-sensitive,
// and no name is there twice.
var strict = json.JoinOptions(json.RejectUnknownMembers(true))

// ReadJSON reads a request's body into v, which is a struct: application/json, one object, known fields only.
// It returns a *Problem (400, 413, 415, or 422 for a number that doesn't fit) or nil.
func ReadJSON(w http.ResponseWriter, r *http.Request, v any) error {
	const usual = "application/json"
	if sent := r.Header.Get("Content-Type"); sent != usual {
		if media, _, err := mime.ParseMediaType(sent); err != nil || media != usual {
			return NotJSON.Problem("send the body as Content-Type: application/json")
		}
	}
	raw, err := io.ReadAll(http.MaxBytesReader(w, r.Body, MaxBody))
	if err != nil {
		var tooLarge *http.MaxBytesError
		if errors.As(err, &tooLarge) {
			return BodyTooLarge.Problem(fmt.Sprintf("the body is over %d bytes", MaxBody))
		}
		return BadBody.Problem("the body ended early")
	}
	if !bytes.HasPrefix(bytes.TrimLeft(raw, " \t\r\n"), []byte("{")) {
		return BadBody.Problem("the body is not a JSON object")
	}
	if err := json.Unmarshal(raw, v, strict); err != nil {
		return jsonProblem(err)
	}
	return nil
}

func jsonProblem(err error) *Problem {
	var wrong *json.SemanticError
	var malformed *jsontext.SyntacticError
	switch {
	case errors.As(err, &wrong) && errors.Is(err, json.ErrUnknownName):
		return BadBody.Problem("unknown field", FieldError{wrong.JSONPointer.LastToken(), "is not known here"})
	case errors.As(err, &wrong) && wrong.JSONKind == '0' && isNumber(wrong.GoType):
		return BadValue.Problem("a value is out of range",
			FieldError{wrong.JSONPointer.LastToken(), "must be a whole number within its range"})
	case errors.As(err, &wrong):
		return BadBody.Problem("a field has the wrong type",
			FieldError{wrong.JSONPointer.LastToken(), "can't be a JSON " + kindName(wrong.JSONKind)})
	case errors.As(err, &malformed) && errors.Is(err, jsontext.ErrDuplicateName):
		return BadBody.Problem("a field is there twice", FieldError{malformed.JSONPointer.LastToken(), "must be there once"})
	}
	return BadBody.Problem("the body is not a JSON object in UTF-8")
}

func kindName(k jsontext.Kind) string {
	switch k {
	case '{':
		return "object"
	case '[':
		return "array"
	case 't', 'f':
		return "bool"
	}
	return k.String()
}

func isNumber(t reflect.Type) bool {
	if t != nil && t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	return t != nil && t.Kind() >= reflect.Int && t.Kind() <= reflect.Float64
}
