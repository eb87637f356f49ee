package dump

import (
	"context"

	"github.com/stock-pyramid/stock-pyramid/internal/readmodel"
)

// Keys lists the keys that Run knows, for people.
const Keys = `pyramid:checkpoint, :rebuild, :evictions, :reload, :reloaded, :poisoned, :pause, :pipeline; and of an epoch E, or * for the one that is served:
  {rRAFFLE}:E:n:SIZE     the bids of a raffle and a size, newest first
  {rRAFFLE}:E:h:SIZE     the same bids, highest first
  {rRAFFLE}:E:sizes      the sizes that have bids
  {rRAFFLE}:E:raffle     the raffle's entry
  {rRAFFLE}:E:live       the events of its live feed, oldest first
  {sSIZE}:E:newest       the newest bids of a size over all raffles
  {sSIZE}:E:floor        at or below this time the list before has gaps
  {sizes}:E              the sizes of that kind
  {raffles}:E            all raffles, latest end first
  {raffles}:E:version    changes with every change of a raffle or a product
  {products}:E           all products`

// form is how a key is printed.
type form struct {
	structure string // as TYPE names it
	print     func(ctx context.Context, d *dumper, name string) error
}

// formOf returns the form of a key; false if the read model has no key of that name.
func formOf(name string) (form, bool) {
	switch name {
	case readmodel.CheckpointKey:
		return text(checkpoint), true
	case readmodel.RebuildKey:
		return text(mark), true
	case readmodel.EvictionsKey:
		return text(evictions), true
	case readmodel.PauseKey:
		return text(pause), true
	case readmodel.PipelineKey:
		return text(pipeline), true
	case readmodel.ReloadKey, readmodel.PoisonedKey:
		return set(part), true
	case readmodel.ReloadedKey:
		return hash(reloaded), true
	}
	k, ok := readmodel.ParseKey(name)
	if !ok {
		return form{}, false
	}
	return epochForm(k), true
}

// epochForm is the form of a key of an epoch.
func epochForm(k readmodel.Key) form {
	switch k.Kind {
	case readmodel.KindNewest, readmodel.KindHighest:
		return sortedSet(k.Kind == readmodel.KindNewest, func(member string) (any, error) {
			return bidOf(readmodel.ParseMember(k.Raffle, k.Size, []byte(member)))
		})
	case readmodel.KindSizeNewest:
		return sortedSet(true, func(member string) (any, error) {
			return bidOf(readmodel.ParseSizeMember(k.Size, []byte(member)))
		})
	case readmodel.KindRaffles:
		return sortedSet(true, func(member string) (any, error) { return raffleOf(readmodel.ParseRaffle([]byte(member))) })
	case readmodel.KindRaffle:
		return text(func(value string) (any, error) { return raffleOf(readmodel.ParseRaffle([]byte(value))) })
	case readmodel.KindSizes, readmodel.KindAllSizes:
		return set(size)
	case readmodel.KindSizeFloor:
		return text(floor)
	case readmodel.KindProducts:
		return hash(product)
	case readmodel.KindLive:
		return stream(k.Raffle)
	default:
		return text(version)
	}
}
