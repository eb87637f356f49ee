package web

import (
	"bufio"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"runtime/debug"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/gorilla/mux"
	"github.com/prometheus/client_golang/prometheus"
)

// The pool saves a system call per id. It is safe because ids need not be secret.
func init() { uuid.EnableRandPool() }

// RequestIDHeader names the header that carries a request's id, from the client or made here.
const RequestIDHeader = "X-Request-Id"

// Handler answers a request or returns an error that the router's table turns into a problem.
type Handler func(w http.ResponseWriter, r *http.Request) error

// Router is a gorilla/mux router whose routes return errors, count themselves and answer 404 and 405
// as problems.
type Router struct {
	mux      *mux.Router
	problem  func(error) *Problem
	log      *slog.Logger
	duration *prometheus.HistogramVec
	opened   *prometheus.CounterVec
	requests *requestLog
}

// NewRouter makes a router. problem is the service's error table: it returns nil for an error that
// it doesn't know, which becomes a 500 with the cause in the log only.
func NewRouter(log *slog.Logger, reg prometheus.Registerer, problem func(error) *Problem) *Router {
	rt := &Router{mux: exactPaths(), problem: problem, log: log, requests: newRequestLog(log),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "http_request_duration_seconds", Help: "Time to answer a request, by route and status.",
			Buckets: []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 10},
		}, []string{"method", "route", "status"}),
		opened: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "http_open_requests_total", Help: "Requests that stayed open for the next events, by route. They are not in http_request_duration_seconds.",
		}, []string{"route"})}
	reg.MustRegister(rt.duration, rt.opened)
	rt.mux.NotFoundHandler = rt.serve("other", "none", func(http.ResponseWriter, *http.Request) error {
		return NoPath.Problem("there is nothing at this path")
	})
	rt.mux.MethodNotAllowedHandler = rt.serve("other", "none", rt.methodNotAllowed)
	return rt
}

// Observe says which requests get a line in the log, and a span.
func (rt *Router) Observe(r Requests) { rt.requests.Requests = r }

// exactPaths matches paths as they were sent, as HAProxy's rules do. "%2F" is no slash. "//" is not redirected to
// "/", because a client would follow the redirect of a POST with a GET.
func exactPaths() *mux.Router { return mux.NewRouter().UseEncodedPath().SkipClean(true) }

// Handle adds a route. GET answers HEAD as well.
func (rt *Router) Handle(method, path string, h Handler) {
	methods := []string{method}
	if method == http.MethodGet {
		methods = append(methods, http.MethodHead)
	}
	rt.mux.Handle(path, rt.serve(method, path, h)).Methods(methods...)
}

// HandlePrefix adds a handler for all methods on all paths that begin with prefix.
func (rt *Router) HandlePrefix(prefix string, h Handler) {
	rt.mux.PathPrefix(prefix).Handler(rt.serve("other", prefix, h))
}

// ServeHTTP makes Router an http.Handler.
func (rt *Router) ServeHTTP(w http.ResponseWriter, r *http.Request) { rt.mux.ServeHTTP(w, r) }

func (rt *Router) serve(method, route string, h Handler) http.Handler {
	usual := sync.OnceValue(func() prometheus.Observer { return rt.duration.WithLabelValues(method, route, "200") })
	name := method + " " + route
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		start := time.Now()
		id := requestID(r)
		w.Header()[RequestIDHeader] = []string{id}
		ctx, span := rt.requests.Spans.Serve(r, name)
		if span.On() {
			r = r.WithContext(ctx)
		}
		sw := &statusWriter{ResponseWriter: w, status: http.StatusOK}
		whole, cause := true, error(nil)
		defer func() {
			if v := recover(); v != nil {
				if err, ok := v.(error); ok && errors.Is(err, http.ErrAbortHandler) {
					span.End()
					panic(v)
				}
				rt.log.ErrorContext(r.Context(), "handler panicked", "route", route, "panic", v, "stack", string(debug.Stack()), "request_id", id)
				cause = errPanicked
				whole = rt.fail(sw, r, Internal.Problem("something went wrong here"))
			}
			took := time.Since(start)
			switch {
			case sw.open:
				rt.opened.WithLabelValues(route).Inc()
			case sw.status == http.StatusOK && r.Method == method:
				usual().Observe(took.Seconds()) // without looking up the labels
			default:
				rt.duration.WithLabelValues(methodLabel(r.Method), route, statusLabel(sw.status)).Observe(took.Seconds())
			}
			rt.requests.note(request{Request: r, id: id, route: route, took: took, err: cause}, sw, span)
			if !whole {
				panic(http.ErrAbortHandler) // cuts the connection off, so that the body does not look complete
			}
		}()
		if cause = h(sw, r); cause != nil {
			whole = rt.fail(sw, r, cause)
		}
	})
}

var errPanicked = errors.New("the handler panicked")

// fail answers with the error's problem, unless part of another answer has been sent; then it returns false. The
// cause goes to the log only.
func (rt *Router) fail(w *statusWriter, r *http.Request, err error) (whole bool) {
	var p *Problem
	if !errors.As(err, &p) {
		p = rt.problem(err)
	}
	if p == nil {
		p = Internal.Problem("something went wrong here")
	}
	if w.wrote {
		w.failed = p.Status
		return false
	}
	WriteProblem(w, r, p)
	return true
}

func (rt *Router) methodNotAllowed(_ http.ResponseWriter, r *http.Request) error {
	var allow []string
	for _, m := range []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"} {
		try := r.Clone(r.Context())
		try.Method = m
		if match := (mux.RouteMatch{}); rt.mux.Match(try, &match) && match.MatchErr == nil {
			allow = append(allow, m)
		}
	}
	p := MethodNotAllowed.Problem("this path does not take " + methodLabel(r.Method))
	p.Allow = strings.Join(allow, ", ")
	return p
}

// requestID takes the client's id if it is fit for a log line, or makes one.
func requestID(r *http.Request) string {
	id := r.Header.Get(RequestIDHeader)
	if len(id) == 0 || len(id) > 64 {
		return uuid.NewString()
	}
	for i := range len(id) {
		if id[i] <= ' ' || id[i] > '~' {
			return uuid.NewString()
		}
	}
	return id
}

// methodLabel keeps the number of label values bounded, whatever a client sends.
func methodLabel(m string) string {
	switch m {
	case "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS":
		return m
	}
	return "other"
}

var statusLabels = func() (l [600]string) {
	for i := range l {
		l[i] = string([]byte{'0' + byte(i/100), '0' + byte(i/10%10), '0' + byte(i%10)})
	}
	return l
}()

func statusLabel(status int) string {
	if status < 0 || status >= len(statusLabels) {
		return "other"
	}
	return statusLabels[status]
}

type statusWriter struct {
	http.ResponseWriter
	status int
	wrote  bool
	open   bool // see StaysOpen
	failed int  // the status of a failure that came too late to be sent; 0: none
}

// StaysOpen notes that the answer to a request lasts as long as its client likes, as a feed does. Its time is not a
// latency, so such a request is counted apart. w is the writer that a Router gave to a Handler; others are left alone.
func StaysOpen(w http.ResponseWriter) {
	if sw, ok := w.(*statusWriter); ok {
		sw.open = true
	}
}

func (w *statusWriter) WriteHeader(status int) {
	w.status, w.wrote = status, true
	w.ResponseWriter.WriteHeader(status)
}

func (w *statusWriter) Write(b []byte) (int, error) {
	w.wrote = true
	return w.ResponseWriter.Write(b)
}

// Unwrap lets http.ResponseController reach the connection.
func (w *statusWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// Hijack makes statusWriter an http.Hijacker, for callers that do not use a ResponseController.
func (w *statusWriter) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	w.status, w.wrote = http.StatusSwitchingProtocols, true
	return http.NewResponseController(w.ResponseWriter).Hijack()
}
