package lsn

import (
	"math/rand/v2"
	"testing"
)

func TestPositionText(t *testing.T) {
	for text, want := range map[string]Position{
		"0/0": {}, "1-0/0": {Timeline: 1}, "2-0/60174D8": {2, 0x60174d8}, "16/B374D848": {0, 0x16b374d848},
		"4294967295-FFFFFFFF/FFFFFFFF": {1<<32 - 1, 1<<64 - 1},
	} {
		got, err := ParsePosition(text)
		if err != nil || got != want || got.String() != text {
			t.Errorf("%q: %v %q, %v", text, got, got, err)
		}
	}
	for _, text := range []string{"", "0/", "/0", "0-0/1", "01-0/1", "+1-0/1", "-1-0/1", "1-", "1-1", "4294967296-0/1", "1-2-0/1", "0/100000000", "x/1", "1 -0/1"} {
		if got, err := ParsePosition(text); err == nil {
			t.Errorf("%q was read as %v", text, got)
		}
	}
}

func FuzzParsePosition(f *testing.F) {
	f.Add("2-0/60174D8")
	f.Add("FFFFFFFF/0")
	f.Fuzz(func(t *testing.T, text string) {
		p, err := ParsePosition(text)
		if err != nil {
			return
		}
		if again, err := ParsePosition(p.String()); err != nil || again != p {
			t.Fatalf("%q is %v, which is read as %v, %v", text, p, again, err)
		}
	})
}

// The history: timeline 1 was left at 100 for timeline 3, which was left at 200 for timeline 5. Timeline 2 began at
// 50 of timeline 1 and was lost.
func TestHistory(t *testing.T) {
	h := NewHistory(5, []Branch{{5, 3, 200}, {3, 1, 100}, {2, 1, 50}})
	for _, c := range []struct {
		at   Position
		want Standing
	}{
		{Position{5, 1000}, Held}, {Position{0, 1000}, Held}, {Position{3, 200}, Held}, {Position{3, 201}, Lost},
		{Position{1, 100}, Held}, {Position{1, 101}, Lost}, {Position{2, 10}, Lost}, {Position{4, 10}, Lost}, {Position{6, 10}, Unknown},
	} {
		if got := h.Judge(c.at); got != c.want {
			t.Errorf("Judge(%v) = %v, want %v", c.at, got, c.want)
		}
	}
	for _, c := range []struct {
		at, want Position
		reaches  bool
	}{
		{Position{5, 300}, Position{5, 300}, true}, {Position{5, 300}, Position{5, 301}, false}, {Position{5, 300}, Position{0, 300}, true},
		{Position{5, 300}, Position{3, 200}, true}, {Position{5, 300}, Position{3, 201}, false}, {Position{5, 300}, Position{1, 100}, true},
		{Position{5, 300}, Position{2, 10}, false}, {Position{3, 150}, Position{1, 90}, true}, {Position{3, 150}, Position{1, 101}, false},
		{Position{3, 300}, Position{5, 200}, true}, {Position{3, 300}, Position{5, 201}, false}, {Position{3, 300}, Position{3, 300}, true},
		{Position{1, 500}, Position{3, 101}, false}, {Position{1, 500}, Position{3, 100}, true}, {Position{2, 500}, Position{5, 1}, false},
		{Position{9, 500}, Position{5, 1}, false}, {Position{5, 150}, Position{3, 180}, false},
	} {
		if got := h.Reaches(c.at, c.want); got != c.reaches {
			t.Errorf("%v reaches %v: %v", c.at, c.want, got)
		}
	}
	var none History
	if !none.Reaches(Position{1, 10}, Position{1, 10}) || none.Reaches(Position{2, 10}, Position{1, 1}) || none.Judge(Position{1, 1}) != Unknown {
		t.Error("a history that knows nothing claims something")
	}
}

// A chain of promotions as a model: each LSN belongs to one timeline of the history.
func TestReachesIsTheOrderOfOneLine(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 1000 {
		var branches []Branch
		present, begins := uint32(1), LSN(0)
		for range random.IntN(4) {
			begins += LSN(1 + random.IntN(50))
			branches = append(branches, Branch{present + 1, present, begins})
			present++
		}
		h := NewHistory(present, branches)
		end := begins + LSN(1+random.IntN(50))
		line := func() (Position, LSN) { // a position that really occurred
			at := LSN(random.IntN(int(end) + 1))
			timeline := present
			for i := len(branches) - 1; i >= 0 && at <= branches[i].Begins; i-- {
				timeline = branches[i].Parent
			}
			return Position{timeline, at}, at
		}
		a, x := line()
		b, y := line()
		if h.Reaches(a, b) != (x >= y) || h.Judge(a) != Held {
			t.Fatalf("%+v: %v reaches %v: %v, %v", h, a, b, h.Reaches(a, b), h.Judge(a))
		}
	}
}
