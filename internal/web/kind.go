package web

import "net/http"

// Kind is a type of problem, as RFC 9457 has it: clients decide by the URI, which never changes, and people
// read the title. docs/PROBLEMS.md says of each what it means and what to do.
type Kind struct {
	URI, Title string
	Status     int
}

// Problem makes a problem of the kind.
func (k Kind) Problem(detail string, fields ...FieldError) *Problem {
	return &Problem{Type: k.URI, Title: k.Title, Status: k.Status, Detail: detail, Errors: fields}
}

// The kinds of problems of all services.
var (
	BadBody            = Kind{"/problems/bad-body", "Body not understood", http.StatusBadRequest}
	BadRequest         = Kind{"/problems/bad-request", "Request not understood", http.StatusBadRequest}
	NoToken            = Kind{"/problems/no-token", "Token missing", http.StatusUnauthorized}
	BadToken           = Kind{"/problems/bad-token", "Token not accepted", http.StatusUnauthorized}
	WrongCredentials   = Kind{"/problems/wrong-credentials", "Login or password wrong", http.StatusUnauthorized}
	BadRefreshToken    = Kind{"/problems/bad-refresh-token", "Refresh token not accepted", http.StatusUnauthorized}
	RefreshTokenReused = Kind{"/problems/refresh-token-reused", "Refresh token used again", http.StatusUnauthorized}
	AdminsOnly         = Kind{"/problems/admins-only", "Only for admins", http.StatusForbidden}
	ForeignOrigin      = Kind{"/problems/foreign-origin", "Page of an origin that is not listed", http.StatusForbidden}
	NotYours           = Kind{"/problems/not-yours", "Bid of another user", http.StatusForbidden}
	WrongPassword      = Kind{"/problems/wrong-password", "Old password wrong", http.StatusForbidden}
	NoPath             = Kind{"/problems/no-path", "Nothing at this path", http.StatusNotFound}
	UnknownRaffle      = Kind{"/problems/unknown-raffle", "Unknown raffle", http.StatusNotFound}
	UnknownProduct     = Kind{"/problems/unknown-product", "Unknown product", http.StatusNotFound}
	UnknownBid         = Kind{"/problems/unknown-bid", "Unknown bid", http.StatusNotFound}
	MethodNotAllowed   = Kind{"/problems/method-not-allowed", "Method not allowed", http.StatusMethodNotAllowed}
	LoginTaken         = Kind{"/problems/login-taken", "Login taken", http.StatusConflict}
	RaffleNotOpen      = Kind{"/problems/raffle-not-open", "Raffle not open", http.StatusConflict}
	RaffleStarted      = Kind{"/problems/raffle-started", "Raffle started", http.StatusConflict}
	PositionLost       = Kind{"/problems/position-lost", "Position lost", http.StatusConflict}
	BodyTooLarge       = Kind{"/problems/body-too-large", "Body too large", http.StatusRequestEntityTooLarge}
	NotJSON            = Kind{"/problems/not-json", "Body not application/json", http.StatusUnsupportedMediaType}
	BadValue           = Kind{"/problems/bad-value", "Value missing or out of range", http.StatusUnprocessableEntity}
	TooManySizes       = Kind{"/problems/too-many-sizes", "No room for another size", http.StatusUnprocessableEntity}
	KeyReused          = Kind{"/problems/key-reused", "Idempotency key used before", http.StatusUnprocessableEntity}
	TooManyRequests    = Kind{"/problems/too-many-requests", "Too many requests", http.StatusTooManyRequests}
	Internal           = Kind{"/problems/internal", "Fault of the service", http.StatusInternalServerError}
	Busy               = Kind{"/problems/busy", "Not done: too much at once", http.StatusServiceUnavailable}
	RaffleLocked       = Kind{"/problems/raffle-locked", "Not done: the raffle is being changed", http.StatusServiceUnavailable}
	Unavailable        = Kind{"/problems/unavailable", "Not done: not possible now", http.StatusServiceUnavailable}
	OutcomeUnknown     = Kind{"/problems/outcome-unknown", "Perhaps done", http.StatusServiceUnavailable}
)

// Kinds are all of them.
var Kinds = []Kind{
	BadBody, BadRequest, NoToken, BadToken, WrongCredentials, BadRefreshToken, RefreshTokenReused,
	AdminsOnly, ForeignOrigin, NotYours, WrongPassword,
	NoPath, UnknownRaffle, UnknownProduct, UnknownBid, MethodNotAllowed, LoginTaken,
	RaffleNotOpen, RaffleStarted, PositionLost, BodyTooLarge, NotJSON, BadValue, TooManySizes, KeyReused,
	TooManyRequests, Internal, Busy, RaffleLocked, Unavailable, OutcomeUnknown,
}
