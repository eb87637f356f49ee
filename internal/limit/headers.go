package limit

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// The headers that tell a client how near it is to its limits, as draft-ietf-httpapi-ratelimit-headers-11 defines them:
//
//	RateLimit-Policy: "user";q=40;w=2
//	RateLimit: "user";r=17;t=1
//
// q is the burst, and w the time in which an empty bucket fills. r is how many whole tokens are left. t is the time
// until there is one more, or, if the limit refuses the request, until it would grant it. Times are in seconds, rounded
// up. The unit is the draft's default, requests: it has none for weights, and leaves open what a request counts.
//
// A limit is named if it refuses the request (then it comes first) or if less than half of its bucket is left. The
// draft lets a server leave the headers out while much is left (section 6.2).
//
// The names are in canonical form, which saves converting them.
const (
	standingHeader = "Ratelimit"
	policyHeader   = "Ratelimit-Policy"
)

// policy is a limit as the headers show it.
type policy struct {
	name string // in quotes
	text string // the item of RateLimit-Policy
}

func newPolicy(name string, r Rate) policy {
	quoted := `"` + name + `"`
	return policy{quoted, fmt.Sprintf("%s;q=%d;w=%s", quoted, r.Burst, seconds(r.whole()))}
}

// announce names the limit in the headers of an answer. If they name it already, because a read is charged more than
// once, the later standing replaces the earlier one.
func (p policy) announce(h http.Header, s Standing) {
	t := s.More
	if s.Wait > 0 {
		t = s.Wait
	}
	p.put(h, standingHeader, p.name+";r="+strconv.Itoa(s.Left)+";t="+seconds(t), s.Wait > 0)
	p.put(h, policyHeader, p.text, s.Wait > 0)
}

// put puts an item at the beginning or at the end of the list in a header.
func (p policy) put(h http.Header, header, item string, first bool) {
	items := slices.DeleteFunc(list(h, header), func(other string) bool { return strings.HasPrefix(other, p.name+";") })
	if first {
		items = slices.Insert(items, 0, item)
	} else {
		items = append(items, item)
	}
	h[header] = []string{strings.Join(items, separator)}
}

// exhausted is how long a request has to wait for the limits that the headers name and that have nothing left. These
// limits granted the request, but would refuse it at once if it came again.
func exhausted(h http.Header) (longest time.Duration) {
	for _, item := range list(h, standingHeader) {
		_, t, _ := strings.Cut(item, ";r=0;t=")
		if n, err := strconv.Atoi(t); err == nil {
			longest = max(longest, time.Duration(n)*time.Second)
		}
	}
	return longest
}

const separator = ", "

// list is what a header lists.
func list(h http.Header, header string) []string {
	if values := h[header]; len(values) > 0 {
		return strings.Split(values[0], separator)
	}
	return nil
}

func seconds(d time.Duration) string {
	return strconv.FormatInt(int64((d+time.Second-1)/time.Second), 10)
}
