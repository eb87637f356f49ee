package heartbeat

import "testing"

func FuzzParse(f *testing.F) {
	f.Add("12,-5,1700000000000000")
	f.Add("0,0,0")
	f.Fuzz(func(t *testing.T, text string) {
		b, err := Parse(text)
		if err != nil {
			return
		}
		if again, err := Parse(b.String()); err != nil || again != b {
			t.Fatalf("%q is %v, which is read as %v, %v", text, b, again, err)
		}
	})
}

func TestParseSkipsFieldsOfALaterRelease(t *testing.T) {
	for _, text := range []string{"12,-5,17", "12,-5,17,new", "12,-5,17,new,4"} {
		if b, err := Parse(text); err != nil || b != (Beat{12, -5, 17}) {
			t.Errorf("%q was read as %v, %v", text, b, err)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	for _, text := range []string{"", "1", "1,2", "a,1,1", "1,b,1", "1,1,c", "-1,1,1"} {
		if b, err := Parse(text); err == nil {
			t.Errorf("%q was read as %v", text, b)
		}
	}
}
