package live

import (
	"fmt"
	"math"
)

// joinRequest is what a client joins with.
type joinRequest struct {
	raffle int64
	size   int16 // 0: all
	from   Position
}

// parseJoin reads {raffle_id, size?, last_event_id?} as the JSON decoder left it, or says what is wrong.
func parseJoin(args []any) (r joinRequest, problem string) {
	if len(args) == 0 {
		return r, "join needs an object with raffle_id"
	}
	fields, ok := args[0].(map[string]any)
	if !ok {
		return r, "join needs an object with raffle_id"
	}
	for name, value := range fields {
		switch {
		case name == "raffle_id":
			r.raffle, ok = wholeNumber(value, 1<<53)
		case value == nil && (name == "size" || name == "last_event_id"): // as good as not given
			continue
		case name == "size":
			var size int64
			size, ok = wholeNumber(value, math.MaxInt16)
			r.size = int16(size)
		case name == "last_event_id":
			var text string
			text, ok = value.(string)
			var err error
			if r.from, err = ParsePosition(text); err != nil {
				ok = false
			}
		default:
			return r, fmt.Sprintf("join does not know %.40q", name)
		}
		if !ok {
			return r, "join: " + name + " " + joinFields[name]
		}
	}
	if r.raffle == 0 {
		return r, "join: raffle_id is required"
	}
	return r, ""
}

var joinFields = map[string]string{
	"raffle_id":     "must be a whole number from 1 up",
	"size":          "must be a whole number from 1 to 32767",
	"last_event_id": "must be the id of an event of this feed",
}

// wholeNumber reads a JSON number without a fraction, from 1 to limit.
func wholeNumber(value any, limit float64) (int64, bool) {
	f, ok := value.(float64)
	return int64(f), ok && f >= 1 && f <= limit && f == math.Trunc(f)
}

// parseLeave reads {raffle_id} as the JSON decoder left it, or says what is wrong.
func parseLeave(args []any) (raffle int64, problem string) {
	if len(args) == 0 {
		return 0, "leave needs an object with raffle_id"
	}
	fields, ok := args[0].(map[string]any)
	if !ok {
		return 0, "leave needs an object with raffle_id"
	}
	for name := range fields {
		if name != "raffle_id" {
			return 0, fmt.Sprintf("leave does not know %.40q", name)
		}
	}
	if raffle, ok = wholeNumber(fields["raffle_id"], 1<<53); !ok {
		return 0, "leave: raffle_id " + joinFields["raffle_id"]
	}
	return raffle, ""
}
