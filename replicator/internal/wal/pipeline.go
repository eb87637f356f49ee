package wal

import (
	"fmt"
	"hash/fnv"
	"regexp"
	"strconv"
	"strings"
)

// Pipeline is the name of a pipeline: replicators that fill one Redis from one database. Each pipeline has slots, a lock
// and a Redis of its own, so that one Redis is filled beside another. The name is in the names of the slots.
type Pipeline string

// Unnamed is the pipeline without a name, which is the only one of most databases.
const Unnamed Pipeline = ""

// slotPrefix begins the name of every slot of this service.
const slotPrefix = "pyramid_"

var (
	pipelineName = regexp.MustCompile(`^[a-z][a-z0-9]{0,15}$`)
	slotName     = regexp.MustCompile(`^` + slotPrefix + `(?:([a-z][a-z0-9]{0,15})_)?[0-9]+$`)
)

// Check returns an error for a name that a pipeline can't have.
func (p Pipeline) Check() error {
	if p == Unnamed || pipelineName.MatchString(string(p)) {
		return nil
	}
	return fmt.Errorf("a pipeline is named by up to 16 lower-case letters and digits, a letter first, not %q", string(p))
}

// String names the pipeline for people.
func (p Pipeline) String() string {
	if p == Unnamed {
		return "the unnamed pipeline"
	}
	return "pipeline " + string(p)
}

// SlotName is the name of the slot of an epoch. A promoted server names a slot of the unnamed pipeline likewise, by its
// timeline.
func (p Pipeline) SlotName(epoch uint64) string { return p.prefix() + strconv.FormatUint(epoch, 10) }

func (p Pipeline) prefix() string {
	if p == Unnamed {
		return slotPrefix
	}
	return slotPrefix + string(p) + "_"
}

// SlotEpoch is the epoch or timeline in the name of a slot; 0 if the slot is not of this pipeline. Every timeline is lower
// than every epoch.
func (p Pipeline) SlotEpoch(name string) uint64 {
	number, ok := strings.CutPrefix(name, p.prefix())
	if !ok {
		return 0
	}
	e, err := strconv.ParseUint(number, 10, 63)
	if err != nil {
		return 0
	}
	return e
}

// PipelineOf is the pipeline of a slot; false if the name is not one of ours.
func PipelineOf(slot string) (Pipeline, bool) {
	parts := slotName.FindStringSubmatch(slot)
	if parts == nil {
		return Unnamed, false
	}
	return Pipeline(parts[1]), true
}

// firstLock is the advisory lock of the unnamed pipeline.
const firstLock = 0x7079_7261_6d69_6400

// Lock is the advisory lock in the database that the one active replicator of the pipeline holds.
func (p Pipeline) Lock() int64 {
	if p == Unnamed {
		return firstLock
	}
	h := fnv.New64a()
	_, _ = h.Write([]byte(slotPrefix + p)) // a hash returns no error
	return int64(h.Sum64())
}

// Application is the application_name of a connection of the pipeline.
func (p Pipeline) Application(name string) string {
	if p == Unnamed {
		return name
	}
	return name + "-" + string(p)
}
