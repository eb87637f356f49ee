package api

import (
	"strconv"
	"strings"
)

// accepted chooses among the codings that the values of Accept-Encoding allow (RFC 9110, section 12.5.3). It takes
// the coding with the highest weight, and among equals the one with the smaller body. Without the header it is
// identity.
func accepted(values []string) coding {
	best, weight := identity, 0.0
	any := -1.0
	given := [len(codingNames)]bool{}
	for _, part := range strings.Split(strings.Join(values, ","), ",") {
		name, parameters, _ := strings.Cut(strings.TrimSpace(part), ";")
		q := weightOf(parameters)
		if strings.TrimSpace(name) == "*" {
			any = q
		}
		for c := range coding(len(codingNames)) {
			if strings.EqualFold(strings.TrimSpace(name), codingNames[c]) {
				given[c] = true
				if q > 0 && (q > weight || q == weight && c > best) {
					best, weight = c, q
				}
			}
		}
	}
	if any > weight && !given[zstandard] {
		return zstandard
	}
	if any > weight && !given[gzipped] {
		return gzipped
	}
	return best
}

// weightOf reads q=0.5. Without a parameter the weight is 1; an unreadable weight is 0.
func weightOf(parameters string) float64 {
	name, value, ok := strings.Cut(strings.TrimSpace(parameters), "=")
	if !ok {
		return 1
	}
	q, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
	if err != nil || !strings.EqualFold(strings.TrimSpace(name), "q") || q < 0 || q > 1 {
		return 0
	}
	return q
}

// matches says whether one of the entity tags in If-None-Match is tag, weakly (RFC 9110, section 13.1.2).
func matches(values []string, tag string) bool {
	for _, value := range values {
		for one := range strings.SplitSeq(value, ",") {
			one = strings.TrimSpace(one)
			if one == "*" || strings.TrimPrefix(one, "W/") == strings.TrimPrefix(tag, "W/") {
				return true
			}
		}
	}
	return false
}
