package report

import (
	"encoding/xml"
	"fmt"
	"io"
)

// junit is a test suite as Jenkins and GitLab read it. The form has no standard.
type junit struct {
	XMLName   xml.Name    `xml:"testsuite"`
	Name      string      `xml:"name,attr"`
	Tests     int         `xml:"tests,attr"`
	Failures  int         `xml:"failures,attr"`
	Errors    int         `xml:"errors,attr"`
	Seconds   float64     `xml:"time,attr"`
	Timestamp string      `xml:"timestamp,attr"`
	Cases     []junitCase `xml:"testcase"`
}

type junitCase struct {
	Class   string       `xml:"classname,attr"`
	Name    string       `xml:"name,attr"`
	Failure *junitReason `xml:"failure"`
	Error   *junitReason `xml:"error"`
	Output  string       `xml:"system-out,omitempty"`
}

type junitReason struct {
	Message string `xml:"message,attr"` // which Jenkins shows
	Text    string `xml:",chardata"`    // which GitLab shows
}

// WriteJUnit writes the verdict as JUnit XML: a test case for each condition, and one for each reason why the run failed
// or is invalid. A run of which nothing was judged fails.
func (r *Run) WriteJUnit(w io.Writer) error {
	s := junit{Name: r.Name, Seconds: r.Elapsed.Seconds(), Timestamp: r.Started.UTC().Format("2006-01-02T15:04:05")}
	fail := func(name, text string) {
		s.Failures++
		s.Cases = append(s.Cases, junitCase{Name: name, Failure: &junitReason{text, text}})
	}
	for _, c := range r.Verdict.Conditions {
		if text := c.Got + ", limit " + c.Limit; c.OK {
			s.Cases = append(s.Cases, junitCase{Name: c.Name, Output: text})
		} else {
			fail(c.Name, text)
		}
	}
	for _, text := range r.Verdict.Failed {
		fail(text, text)
	}
	for _, text := range r.Verdict.Invalid {
		s.Errors++
		s.Cases = append(s.Cases, junitCase{Name: text, Error: &junitReason{text, text}})
	}
	if len(s.Cases) == 0 {
		fail("verdict", "nothing was judged")
	}
	s.Tests = len(s.Cases)
	for i := range s.Cases {
		s.Cases[i].Class = "loadtest." + r.Level
	}
	out, err := xml.MarshalIndent(s, "", " ")
	if err == nil {
		_, err = fmt.Fprintf(w, "%s%s\n", xml.Header, out)
	}
	return err
}
