package web_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/stock-pyramid/stock-pyramid/internal/web"
)

// A handler returns a problem, and the client gets it as RFC 9457 has it.
func ExampleWriteProblem() {
	w, r := httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/v1/raffles/7", nil)
	web.WriteProblem(w, r, web.Busy.Problem("too many reads at once").Retry(1500*time.Millisecond))
	fmt.Println(w.Code, w.Header().Get("Content-Type"), w.Header().Get("Retry-After"))
	fmt.Println(w.Body)
	// Output:
	// 503 application/problem+json 2
	// {"type":"/problems/busy","title":"Not done: too much at once","status":503,"detail":"too many reads at once","instance":"/v1/raffles/7"}
}
