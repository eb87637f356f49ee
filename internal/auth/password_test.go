package auth

import (
	"errors"
	"strings"
	"testing"
)

func TestPasswordRoundTrip(t *testing.T) {
	hash := HashPassword("pyramid")
	if !strings.HasPrefix(hash, "$argon2id$v=19$m=19456,t=2,p=1$") {
		t.Errorf("hash %s", hash)
	}
	if hash == HashPassword("pyramid") {
		t.Error("two hashes share a salt")
	}
	for password, want := range map[string]bool{"pyramid": true, "Pyramid": false, "": false, "pyramid\x00": false} {
		if got, err := CheckPassword(hash, password); err != nil || got != want {
			t.Errorf("%q: got %v, %v, want %v", password, got, err, want)
		}
	}
}

func TestParsePHCRefuses(t *testing.T) {
	const salt, hash = "c2FsdHNhbHRzYWx0c2FsdA", "aGFzaGhhc2hoYXNoaGFzaGhhc2hoYXNoaGFzaGhhc2g"
	if _, err := parsePHC("$argon2id$v=19$m=8,t=1,p=1$" + salt + "$" + hash); err != nil {
		t.Fatalf("the least costly hash: %v", err)
	}
	for _, bad := range []string{
		"", "$", "pyramid", "$$$$$",
		"$argon2i$v=19$m=8,t=1,p=1$" + salt + "$" + hash,
		"$argon2id$v=16$m=8,t=1,p=1$" + salt + "$" + hash,
		"$argon2id$m=8,t=1,p=1$" + salt + "$" + hash,
		"x$argon2id$v=19$m=8,t=1,p=1$" + salt + "$" + hash,
		"$argon2id$v=19$m=4194304,t=1,p=1$" + salt + "$" + hash,
		"$argon2id$v=19$m=8,t=4294967295,p=1$" + salt + "$" + hash,
		"$argon2id$v=19$m=8,t=1,p=255$" + salt + "$" + hash,
		"$argon2id$v=19$m=8,t=0,p=1$" + salt + "$" + hash,
		"$argon2id$v=19$m=8,t=1,p=0$" + salt + "$" + hash,
		"$argon2id$v=19$m=8,t=1,p=2$" + salt + "$" + hash,
		"$argon2id$v=19$t=1,m=8,p=1$" + salt + "$" + hash,
		"$argon2id$v=19$m=08,t=1,p=1$" + salt + "$" + hash,
		"$argon2id$v=19$m=+8,t=1,p=1$" + salt + "$" + hash,
		"$argon2id$v=19$m=8,t=1$" + salt + "$" + hash,
		"$argon2id$v=19$m=8,t=1,p=1$" + salt,
		"$argon2id$v=19$m=8,t=1,p=1$" + salt + "$" + hash + "$",
		"$argon2id$v=19$m=8,t=1,p=1$c2FsdA$" + hash,
		"$argon2id$v=19$m=8,t=1,p=1$" + salt + "$aGFzaA",
		"$argon2id$v=19$m=8,t=1,p=1$" + salt + "\n$" + hash,
		"$argon2id$v=19$m=8,t=1,p=1$" + salt + "==$" + hash,
		"$argon2id$v=19$m=8,t=1,p=1$" + salt + "$" + strings.Repeat(hash, 5),
	} {
		if p, err := parsePHC(bad); !errors.Is(err, ErrHash) {
			t.Errorf("%q: got %+v, %v", bad, p, err)
		}
	}
}

func FuzzParsePHC(f *testing.F) {
	f.Add(HashPassword("pyramid"))
	f.Add("$argon2id$v=19$m=8,t=1,p=1$c2FsdHNhbHRzYWx0c2FsdA$aGFzaGhhc2hoYXNoaGFzaGhhc2hoYXNoaGFzaGhhc2g")
	f.Fuzz(func(t *testing.T, s string) {
		p, err := parsePHC(s)
		if err != nil {
			if !errors.Is(err, ErrHash) {
				t.Errorf("%q: %v", s, err)
			}
			return
		}
		if p.String() != s {
			t.Errorf("%q is read as %q", s, p.String())
		}
		if p.memory > 64<<10 || p.passes > 10 || p.threads > 4 || len(p.hash) > 64 {
			t.Errorf("%q costs too much", s)
		}
	})
}
