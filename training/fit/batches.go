package fit

import (
	"fmt"
	"math"
	"math/rand/v2"

	"github.com/gomlx/gomlx/pkg/core/tensors"

	"github.com/agequote/agequote/training/features"
	"github.com/agequote/agequote/training/net"
)

// Photo is one labelled photo of a cache.
type Photo struct {
	Index  int     // in the cache
	Age    float64 // years
	Weight float64 // in the loss
	Repeat int     // times an epoch
	Source string  // data set
}

// batch is what one step sees.
type batch struct {
	items, soft, age, weight, lambda *tensors.Tensor
}

func (b *batch) arguments() []any { return []any{b.items, b.soft, b.age, b.weight, b.lambda} }

// batcher makes batches from a cache. What is in a batch hangs on the seed, the
// stage, the epoch and the number of the batch, and on nothing before it: a run
// that is taken up again goes on with the same batches.
type batcher struct {
	cache   *features.Cache
	photos  []Photo
	size    int
	classes int
	sigma   float64
	mixup   float64 // alpha of the Beta distribution; 0: none
	seed    uint64
	views   int // of the cache, that training sees
}

// steps is the number of batches in an epoch: the last photos that do not fill
// one are left out, others the next time.
func (b *batcher) steps() int {
	n := 0
	for _, p := range b.photos {
		n += p.Repeat
	}
	return n / b.size
}

// order is the epoch's photos, shuffled.
func (b *batcher) order(stage, epoch int) []int {
	var order []int
	for i, p := range b.photos {
		for range p.Repeat {
			order = append(order, i)
		}
	}
	r := rand.New(rand.NewPCG(b.seed, uint64(stage)<<32|uint64(epoch)))
	r.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
	return order
}

// make reads batch number of the epoch. The views of a batch are chosen anew.
func (b *batcher) make(order []int, stage, epoch, number int) (*batch, error) {
	r := rand.New(rand.NewPCG(b.seed+1, uint64(stage)<<48|uint64(epoch)<<24|uint64(number)))
	size := b.cache.Size()
	items := make([]uint8, b.size*size)
	soft := make([]float32, b.size*b.classes)
	age, weight, lambda := make([]float32, b.size), make([]float32, b.size), make([]float32, b.size)
	for i := range b.size {
		p := b.photos[order[number*b.size+i]]
		if err := b.cache.Read(r.IntN(b.views), p.Index, items[i*size:(i+1)*size]); err != nil {
			return nil, err
		}
		net.SoftLabel(p.Age, b.sigma, b.classes, soft[i*b.classes:(i+1)*b.classes])
		age[i], weight[i], lambda[i] = float32(p.Age), float32(p.Weight), 1
		if b.mixup > 0 {
			// The larger share is the photo's own, as in fastai.
			l := beta(r, b.mixup)
			lambda[i] = float32(max(l, 1-l))
		}
	}
	s := b.cache.Shape
	return &batch{
		items:  tensors.FromFlatDataAndDimensions(items, b.size, s[0], s[1], s[2]),
		soft:   tensors.FromFlatDataAndDimensions(soft, b.size, b.classes),
		age:    tensors.FromFlatDataAndDimensions(age, b.size),
		weight: tensors.FromFlatDataAndDimensions(weight, b.size),
		lambda: tensors.FromFlatDataAndDimensions(lambda, b.size),
	}, nil
}

// beta draws from the Beta(a, a) distribution by Jöhnk's method (Devroye 1986,
// chapter IX.3.5), good for small a.
func beta(r *rand.Rand, a float64) float64 {
	for {
		x, y := math.Pow(r.Float64(), 1/a), math.Pow(r.Float64(), 1/a)
		if s := x + y; s > 0 && s <= 1 {
			return x / s
		}
	}
}

// stream makes batches ahead of the step that wants them.
func (b *batcher) stream(stage, epoch, from int, done <-chan struct{}) <-chan made {
	out := make(chan made, 2)
	go func() {
		defer close(out)
		order := b.order(stage, epoch)
		for i := from; i < b.steps(); i++ {
			bt, err := b.make(order, stage, epoch, i)
			if err != nil {
				err = fmt.Errorf("make batch: %w", err)
			}
			select {
			case out <- made{bt, err}:
			case <-done:
				return
			}
			if err != nil {
				return
			}
		}
	}()
	return out
}

type made struct {
	batch *batch
	err   error
}
