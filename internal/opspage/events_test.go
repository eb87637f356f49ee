package opspage

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"strconv"
	"strings"
	"testing"
	"time"
)

// Each kind has a sentence, and each sentence a kind.
func TestEachKindOfEventHasWords(t *testing.T) {
	kinds := 0
	parsed, err := parser.ParseFile(token.NewFileSet(), "events.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	ast.Inspect(parsed, func(n ast.Node) bool {
		spec, is := n.(*ast.ValueSpec)
		if kind, typed := specType(spec); is && typed && kind == "Kind" {
			kinds++
			text, err := strconv.Unquote(spec.Values[0].(*ast.BasicLit).Value)
			if s, known := sentences[Kind(text)]; err != nil || !known || !strings.HasSuffix(s.format, ".") && !strings.HasSuffix(s.format, "%s") {
				t.Errorf("%s is told as %+v, %v", text, s, err)
			}
		}
		return true
	})
	if kinds != len(sentences) || kinds == 0 {
		t.Errorf("%d kinds, %d sentences", kinds, len(sentences))
	}
}

func specType(s *ast.ValueSpec) (name string, ok bool) {
	if s == nil {
		return "", false
	}
	id, ok := s.Type.(*ast.Ident)
	if !ok {
		return "", false
	}
	return id.Name, true
}

func TestEventsAreTold(t *testing.T) {
	var l log
	at := time.UnixMilli(1000)
	l.tell(at, Rebuilds, "Redis lost its data.", "the replica serves reads")
	for i := range 3 {
		l.tell(at.Add(time.Duration(i)*time.Second), Failed, "Redis refused a command.")
	}
	l.tell(at.Add(5*time.Second), Kind("of another release"))
	want := []Event{
		{1, 1000, Doubt, "Redis lost its data. Rebuilding; the replica serves reads.", 1},
		{2, 3000, Bad, "Redis refused a command. It is tried again.", 3},
		{3, 6000, Bad, "An event without words: of another release.", 1},
	}
	if got := l.all(); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("told %+v, want %+v", got, want)
	}
	for i := range 2 * keptEvents {
		l.tell(at, Lags, i)
	}
	all := l.all()
	if len(all) != keptEvents || all[0].Text != sentenceOf(Lags, keptEvents) || all[keptEvents-1].Text != sentenceOf(Lags, 2*keptEvents-1) {
		t.Errorf("%d are kept, from %q to %q", len(all), all[0].Text, all[len(all)-1].Text)
	}
}

func sentenceOf(k Kind, args ...any) string { return fmt.Sprintf(sentences[k].format, args...) }

func TestTheRingKeepsTheLastSamples(t *testing.T) {
	r := newRing(3)
	for at := range int64(5) {
		r.add(Sample{At: at})
		if got := r.since(0); got[len(got)-1].At != at {
			t.Fatalf("after %d: %v", at, got)
		}
	}
	if got := r.since(0); fmt.Sprint(got) != fmt.Sprint([]Sample{{At: 2}, {At: 3}, {At: 4}}) {
		t.Errorf("kept %v", got)
	}
	if got := r.since(4); len(got) != 1 || got[0].At != 4 {
		t.Errorf("since 4: %v", got)
	}
}
