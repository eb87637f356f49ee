package preflight

import (
	"github.com/stock-pyramid/stock-pyramid/internal/progress"
	"github.com/stock-pyramid/stock-pyramid/internal/redisinfo"
)

// The memory that a bid takes in both orders, in bytes (measured): in small sets, which are listpacks, and in large ones.
const smallBytes, largeBytes = 73, 280

// memory looks whether two epochs fit, because a rebuild fills one beside the one that is served. The size of one is that
// of the read model in Redis if there is one, otherwise an estimate by the number of bids.
func (r *Report) memory(info redisinfo.Info, primary facts, served bool) {
	const what, do = "memory", "raise maxmemory to twice the size of the read model, or give Redis a machine with more memory"
	used, limit := info.Number("used_memory"), info.Number("maxmemory")
	bound := "maxmemory"
	if limit == 0 {
		limit, bound = info.Number("total_system_memory"), "the machine's memory, because there is no maxmemory"
	}
	if limit == 0 || primary.bids < 0 {
		r.add(Warn, "compare used_memory and maxmemory by hand", what, "not known")
		return
	}
	least, most := primary.bids*smallBytes, primary.bids*largeBytes
	if served && used > least {
		least, most = used, used
	}
	level := OK
	switch {
	case least > limit:
		level = Fail
	case 2*least > limit, !served && 2*most > limit:
		level = Warn
	}
	take := megabytes(2 * least)
	if most > least {
		take += " to " + megabytes(2*most)
	}
	r.add(level, do, what, "two epochs of %s bids take %s; %s of %s (%s) are in use", progress.Grouped(primary.bids), take, megabytes(used), megabytes(limit), bound)
}
