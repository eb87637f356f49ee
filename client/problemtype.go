package client

// ProblemType is the type of a Problem. It is an error, so that errors.Is(err, RaffleNotOpen) finds it.
type ProblemType string

// Error is the type itself.
func (t ProblemType) Error() string { return string(t) }

// The types of problems. docs/PROBLEMS.md says what each means and what to do.
const (
	BadBody            ProblemType = "/problems/bad-body"
	BadRequest         ProblemType = "/problems/bad-request"
	NoToken            ProblemType = "/problems/no-token"
	BadToken           ProblemType = "/problems/bad-token"
	WrongCredentials   ProblemType = "/problems/wrong-credentials"
	BadRefreshToken    ProblemType = "/problems/bad-refresh-token"
	RefreshTokenReused ProblemType = "/problems/refresh-token-reused"
	AdminsOnly         ProblemType = "/problems/admins-only"
	ForeignOrigin      ProblemType = "/problems/foreign-origin"
	NotYours           ProblemType = "/problems/not-yours"
	WrongPassword      ProblemType = "/problems/wrong-password"
	NoPath             ProblemType = "/problems/no-path"
	UnknownRaffle      ProblemType = "/problems/unknown-raffle"
	UnknownProduct     ProblemType = "/problems/unknown-product"
	UnknownBid         ProblemType = "/problems/unknown-bid"
	MethodNotAllowed   ProblemType = "/problems/method-not-allowed"
	LoginTaken         ProblemType = "/problems/login-taken"
	RaffleNotOpen      ProblemType = "/problems/raffle-not-open"
	RaffleStarted      ProblemType = "/problems/raffle-started"
	PositionLost       ProblemType = "/problems/position-lost"
	BodyTooLarge       ProblemType = "/problems/body-too-large"
	NotJSON            ProblemType = "/problems/not-json"
	BadValue           ProblemType = "/problems/bad-value"
	TooManySizes       ProblemType = "/problems/too-many-sizes"
	KeyReused          ProblemType = "/problems/key-reused"
	TooManyRequests    ProblemType = "/problems/too-many-requests"
	Internal           ProblemType = "/problems/internal"
	Busy               ProblemType = "/problems/busy"
	RaffleLocked       ProblemType = "/problems/raffle-locked"
	Unavailable        ProblemType = "/problems/unavailable"
	OutcomeUnknown     ProblemType = "/problems/outcome-unknown"
	// Blank is the type of a problem whose status says everything.
	Blank ProblemType = "about:blank"
)
