package auth

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/crypto/argon2"
)

// The cost of a new hash: argon2id with 19 MiB and two passes, from OWASP's password storage cheat
// sheet. It takes 26 ms.
const (
	hashMemory  = 19_456 // KiB
	hashPasses  = 2
	hashThreads = 1
	saltLength  = 16 // bytes
	hashLength  = 32 // bytes
)

// ErrHash is a stored password hash that is no argon2id PHC string, or one that would cost too much.
var ErrHash = errors.New("password hash not usable")

// phc is an argon2id hash with its parameters.
type phc struct {
	memory  uint32 // KiB
	passes  uint32
	threads uint8
	salt    []byte
	hash    []byte
}

// HashPassword returns the argon2id hash of a password as a PHC string, with a new salt.
func HashPassword(password string) string {
	p := phc{memory: hashMemory, passes: hashPasses, threads: hashThreads, salt: make([]byte, saltLength)}
	rand.Read(p.salt) // never fails: see crypto/rand
	p.hash = p.compute(password, hashLength)
	return p.String()
}

// CheckPassword says whether a password belongs to a hash. Its cost depends on the hash's parameters and not on the
// answer. Its error is ErrHash.
func CheckPassword(hash, password string) (bool, error) {
	p, err := parsePHC(hash)
	if err != nil {
		return false, err
	}
	return subtle.ConstantTimeCompare(p.hash, p.compute(password, len(p.hash))) == 1, nil
}

func (p phc) compute(password string, length int) []byte {
	return argon2.IDKey([]byte(password), p.salt, p.passes, p.memory, p.threads, uint32(length))
}

func (p phc) String() string {
	b64 := base64.RawStdEncoding
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, p.memory, p.passes, p.threads,
		b64.EncodeToString(p.salt), b64.EncodeToString(p.hash))
}

// parsePHC reads $argon2id$v=19$m=M,t=T,p=P$salt$hash. Its limits keep a stored hash from taking the
// memory or the time of the whole service.
func parsePHC(s string) (phc, error) {
	if len(s) > 256 {
		return phc{}, fmt.Errorf("%w: %d bytes", ErrHash, len(s))
	}
	parts := strings.Split(s, "$")
	if len(parts) != 6 || parts[0] != "" || parts[1] != "argon2id" || parts[2] != "v="+strconv.Itoa(argon2.Version) {
		return phc{}, fmt.Errorf("%w: not argon2id version %d", ErrHash, argon2.Version)
	}
	params := strings.Split(parts[3], ",")
	if len(params) != 3 {
		return phc{}, fmt.Errorf("%w: want m, t and p", ErrHash)
	}
	m, errM := parameter(params[0], "m=", 8, 64<<10)
	t, errT := parameter(params[1], "t=", 1, 10)
	threads, errP := parameter(params[2], "p=", 1, 4)
	salt, errS := bytesOf("salt", parts[4], 8, 64)
	hash, errH := bytesOf("hash", parts[5], 16, 64)
	if err := errors.Join(errM, errT, errP, errS, errH); err != nil {
		return phc{}, err
	}
	if m < 8*threads {
		return phc{}, fmt.Errorf("%w: m is under 8 p", ErrHash) // RFC 9106, section 3.1
	}
	return phc{memory: m, passes: t, threads: uint8(threads), salt: salt, hash: hash}, nil
}

func parameter(s, prefix string, least, most uint64) (uint32, error) {
	digits, ok := strings.CutPrefix(s, prefix)
	v, err := strconv.ParseUint(digits, 10, 32)
	if !ok || err != nil || strconv.FormatUint(v, 10) != digits || v < least || v > most {
		return 0, fmt.Errorf("%w: %s must be %d to %d", ErrHash, prefix, least, most)
	}
	return uint32(v), nil
}

func bytesOf(name, s string, least, most int) ([]byte, error) {
	b, err := base64.RawStdEncoding.Strict().DecodeString(s)
	// Go's decoder ignores line ends.
	if err != nil || strings.ContainsAny(s, "\r\n") || len(b) < least || len(b) > most {
		return nil, fmt.Errorf("%w: %s must be %d to %d bytes in base64", ErrHash, name, least, most)
	}
	return b, nil
}
