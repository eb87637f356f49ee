package api

import "testing"

func TestAcceptedCoding(t *testing.T) {
	for value, want := range map[string]coding{
		"": identity, "gzip": gzipped, "zstd": zstandard, "br": identity, "identity": identity,
		"gzip, deflate, br, zstd": zstandard, "gzip;q=1.0, zstd;q=0.5": gzipped, "gzip;q=0": identity, "GZIP": gzipped,
		"*": zstandard, "*;q=0": identity, "zstd;q=0, *": gzipped, "gzip;q=0.5, *;q=0.1": gzipped, "gzip;q=x": identity,
		"gzip;q=0.001": gzipped, "identity;q=1, gzip;q=0.5": identity, " gzip ; q=0.5 ": gzipped,
	} {
		if got := accepted([]string{value}); got != want {
			t.Errorf("%q: %s, want %s", value, codingNames[got], codingNames[want])
		}
	}
}

func TestIfNoneMatch(t *testing.T) {
	for value, want := range map[string]bool{`"a"`: true, `W/"a"`: true, `"b", "a"`: true, "*": true, `"b"`: false, "a": false, "": false} {
		if got := matches([]string{value}, `"a"`); got != want {
			t.Errorf("%s: %v", value, got)
		}
	}
}
