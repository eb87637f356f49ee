package main

import (
	"encoding/json"
	"errors"
	"flag"
	"io"
)

// jsonFlag adds the flag --json.
func jsonFlag(flags *flag.FlagSet) *bool {
	return flags.Bool("json", false, `print the result as JSON; an error is {"error": "..."}, and on standard error as always`)
}

// printJSON writes a result as JSON.
func printJSON(out io.Writer, result any) error {
	encoder := json.NewEncoder(out)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	return encoder.Encode(result)
}

// failed returns the error of a subcommand. If --json was given and there is an error, it is the result.
func failed(out io.Writer, asJSON bool, err error) error {
	if !asJSON || err == nil || err.Error() == "" {
		return err
	}
	return errors.Join(err, printJSON(out, struct {
		Error string `json:"error"`
	}{err.Error()}))
}
