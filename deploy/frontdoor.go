package deploy

import (
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"github.com/stock-pyramid/stock-pyramid/internal/cors"
)

// Instance is one instance of a service, with the port of its admin listener, which says whether it is ready.
type Instance struct {
	Address
	AdminPort int
}

// FrontDoor is the HAProxy before the services.
type FrontDoor struct {
	Address
	StatsPort      int
	Conf, Run      string // the folder that gets these files, and the folder of its sockets
	Command, Query []Instance
	Limits         Limits
	// Origins are those whose pages may use the API besides the front door's own.
	Origins cors.Origins
	// TLS is that of the front door itself. The services have certificates of the same authority.
	TLS *TLS
}

// Files is its whole configuration.
func (d FrontDoor) Files() (Files, error) {
	if len(d.Command) == 0 || len(d.Query) == 0 {
		return nil, errors.New("the front door needs an instance of each service")
	}
	d.Host, d.Command, d.Query = orLoopback(d.Host), onLoopback(d.Command), onLoopback(d.Query)
	files := Files{}
	data := struct {
		FrontDoor
		Answers map[string]string
		// AnswerHeaders are the headers that pages of listed origins may read.
		AnswerHeaders string
		// PagePolicy is the Content-Security-Policy of the first page.
		PagePolicy string
	}{d, answers(d.Limits.MaxBody), strings.Join(cors.AnswerHeaders, ", "), ""}
	err := files.copy("index.html", "haproxy/index.html")
	data.PagePolicy = policy(files["index.html"].Content)
	return files, errors.Join(err,
		files.add("haproxy.cfg", "haproxy/haproxy.cfg", 0o600, false, data),
		files.copy("allow.map", "haproxy/allow.map"),
		files.copy("static.html", "haproxy/static.html"))
}

// policy lets a page have its own style and the empty icon, and nothing else.
func policy(page string) string {
	_, style, _ := strings.Cut(page, "<style>")
	style, _, _ = strings.Cut(style, "</style>")
	sum := sha256.Sum256([]byte(style))
	return "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) +
		"'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
}

func onLoopback(list []Instance) []Instance {
	list = append([]Instance(nil), list...)
	for i := range list {
		list[i].Host = orLoopback(list[i].Host)
	}
	return list
}

// answers are what the front door itself says, as actions of a rule.
func answers(maxBody int) map[string]string {
	const retry = "hdr Retry-After 1"
	const unknown = "it is not known whether this was done; with an Idempotency-Key it is safe to send it again"
	return map[string]string{
		"badRequest":     problem(400, "Request not understood", "/problems/bad-request", "the request is not valid HTTP"),
		"wrongMethod":    problem(405, "Method not allowed", "/problems/method-not-allowed", "%[method,json(utf8s)] is not possible here; Allow names what is", `hdr Allow "%[var(txn.allow)]"`),
		"lateRequest":    problem(408, "Request Timeout", "about:blank", "the request did not arrive in time"),
		"bodyTooLarge":   problem(413, "Body too large", "/problems/body-too-large", fmt.Sprintf("the body is over %d bytes", maxBody)),
		"tooMany":        problem(429, "Too many requests", "/problems/too-many-requests", "this address sends too many requests; wait a little", retry),
		"headTooLarge":   problem(431, "Request Header Fields Too Large", "about:blank", "the header is too large"),
		"fault":          problem(500, "Fault of the service", "/problems/internal", "something went wrong here"),
		"notImplemented": problem(501, "Not Implemented", "about:blank", "there is no such transfer encoding here"),
		"brokenRead":     problem(502, "Bad Gateway", "about:blank", "the service broke off its answer; ask again"),
		"brokenWrite":    problem(502, "Perhaps done", "/problems/outcome-unknown", "the service broke off its answer: "+unknown),
		"unavailable":    problem(503, "Not done: not possible now", "/problems/unavailable", "the service is not ready or has no room, and nothing was done; try again soon", retry),
		"lateRead":       problem(504, "Gateway Timeout", "about:blank", "the service did not answer in time; ask again"),
		"lateWrite":      problem(504, "Perhaps done", "/problems/outcome-unknown", "the service did not answer in time: "+unknown),
		"preflight": fmt.Sprintf(`status 204 hdr Access-Control-Allow-Methods "%%[var(txn.allow)]" hdr Access-Control-Allow-Headers "%s" hdr Access-Control-Max-Age %d`,
			strings.Join(cors.RequestHeaders, ", "), cors.MaxAge),
		// An EventSource waits from 1 to 5 s, so that not all come back at once.
		"comeBack": `content-type text/event-stream hdr Cache-Control no-store lf-string "retry: %[rand(4000),add(1000)]\n\n"`,
	}
}

// problem is an answer with a problem document (RFC 9457), written as the action of a rule. Characters that a URI may
// not hold are replaced in the path. The types are the types of the services, or about:blank if the status says
// everything.
func problem(status int, title, kind, detail string, headers ...string) string {
	const instance = `%[var(txn.path),regsub("[^!$-;=?-Z_a-z~]|%(?![0-9A-Fa-f]{2})",_,g)]#%[var(txn.id)]`
	action := "content-type application/problem+json hdr Cache-Control no-store"
	for _, h := range headers {
		action += " " + h
	}
	return fmt.Sprintf(`%s lf-string '{"type":"%s","title":"%s","status":%d,"detail":"%s","instance":"%s"}'`,
		action, kind, title, status, detail, instance)
}
