package client

import (
	"bufio"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
)

var (
	// errUnsendable is the error of a request that can't be sent: the address of the system or a header is wrong.
	errUnsendable = errors.New("the request can't be sent")
	// errUnreadable is the error of an answer that is not understood.
	errUnreadable = errors.New("the answer can't be read")
)

// final says whether another attempt would fail in the same way.
func final(err error) bool {
	return errors.Is(err, errUnsendable) || errors.Is(err, errUnreadable) || errors.Is(err, bufio.ErrTooLong) || distrusted(err)
}

// unsent says whether a request was not sent, because it can't be, or because there was no connection.
func unsent(err error) bool {
	failed, is := errors.AsType[*net.OpError](err)
	return is && failed.Op == "dial" || errors.Is(err, errUnsendable) || distrusted(err)
}

// distrusted says whether the server has a certificate that is not accepted.
func distrusted(err error) bool {
	_, is := errors.AsType[*tls.CertificateVerificationError](err)
	return is
}

// inDoubt says whether an attempt was perhaps carried out although it has failed.
func inDoubt(err error) bool {
	if _, is := errors.AsType[*refreshError](err); is {
		return false // it was not sent
	}
	p, answered := errors.AsType[*Problem](err)
	if !answered {
		return !unsent(err)
	}
	return p.Status >= http.StatusInternalServerError && !p.nothingDone()
}

// settles says whether the error of a last attempt tells what became of the attempts before: a key is looked up before
// anything else that leads to these answers, so nothing was done under it.
func (q call) settles(err error) bool {
	if _, is := errors.AsType[*refreshError](err); is || q.key == "" {
		return false
	}
	p, answered := errors.AsType[*Problem](err)
	return answered && (p.Status == http.StatusNotFound || p.Status == http.StatusConflict || p.Status == http.StatusUnprocessableEntity)
}

// failure is the error of a call whose last attempt has failed. It is OutcomeUnknown if doubt, the error of an earlier or the
// same attempt, is not settled.
func (q call) failure(doubt, last error) error {
	if doubt == nil || q.settles(last) {
		return last
	}
	if !errors.Is(last, doubt) {
		last = fmt.Errorf("%w; later: %w", doubt, last)
	}
	if errors.Is(last, OutcomeUnknown) {
		return last
	}
	return fmt.Errorf("%w: %w", OutcomeUnknown, last)
}

// tardyError is the error of an attempt that took too long. It is no context.DeadlineExceeded, because the caller's context
// has not ended.
type tardyError struct{ cause error }

func (e tardyError) Error() string { return "the attempt took too long: " + e.cause.Error() }

// As finds what is in the chain of the cause.
func (e tardyError) As(target any) bool { return errors.As(e.cause, target) }
