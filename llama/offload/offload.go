package offload

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Layers says how many of a model's layers go to a card, counted from the last
// one; the output matrix is the first to go and counts as one.
type Layers int

// What is not a number of layers.
const (
	Auto Layers = 0  // as many as fit
	All  Layers = -1 // all of them, whether the plan says that they fit or not
	None Layers = -2
)

// ParseLayers reads "auto", "all" or a number; 0 is None.
func ParseLayers(s string) (Layers, error) {
	switch s {
	case "", "auto":
		return Auto, nil
	case "all":
		return All, nil
	}
	n, err := strconv.Atoi(s)
	switch {
	case err != nil || n < 0 || n > maxLayers:
		return Auto, fmt.Errorf("%q is neither auto, all nor a number of layers", s)
	case n == 0:
		return None, nil
	}
	return Layers(n), nil
}

// Device is a card with the memory that is free on it, in bytes.
type Device struct {
	Name        string
	Free, Total int64
}

// Request says what is planned for.
type Request struct {
	Layers  Layers
	Devices []Device // that may be used, in order
	Context int      // tokens of one request
	Slots   int      // requests at the same time; 0: chosen by memory
	Batch   int      // most tokens of one step
	// Adapters is room for adapters, in bytes; 0: for two of rank 16.
	Adapters int64
}

// Share is what a device takes of a model, in bytes.
type Share struct {
	Name     string
	Layers   int
	Weights  int64
	Cache    int64 // keys and values
	Compute  int64 // of one step
	Adapters int64 // room that is kept
}

// Bytes is all of it.
func (s Share) Bytes() int64 { return s.Weights + s.Cache + s.Compute + s.Adapters }

// Plan says what lies where.
type Plan struct {
	Layers int // on cards, the output matrix being one
	Of     int // layers of the model, counted in the same way
	Slots  int
	Shares []Share // of the cards that are used, in order; empty: the model stays in the host's memory
	Host   Share   // the rest; its weights are mapped from the file
	Reason string  // why not all layers are on a card; empty if they are
}

// Names of the devices that are used, and the layers of each.
func (p Plan) Names() (names []string, split []float32) {
	for _, s := range p.Shares {
		names, split = append(names, s.Name), append(split, float32(s.Layers))
	}
	return names, split
}

// DeviceBytes is what the model takes on all cards together.
func (p Plan) DeviceBytes() (n int64) {
	for _, s := range p.Shares {
		n += s.Bytes()
	}
	return n
}

// The numbers of slots that are chosen: fewSlots where memory is the host's or
// short, and up to manySlots on a card, where a step of 32 tokens takes hardly
// longer than one of 4.
const (
	fewSlots  = 4
	manySlots = 32
)

// ErrNoDevice says that layers were asked to a card, and there is none.
var ErrNoDevice = errors.New("there is no card that a model can run on")

// New plans. Without devices everything stays in the host's memory; the error
// is ErrNoDevice when the request asks for more than that.
func New(s Sizes, r Request) (Plan, error) {
	if r.Batch == 0 {
		r.Batch = 512
	}
	p := planner{size: s, Request: r, all: len(s.Layers) + 1}
	if r.Adapters == 0 {
		p.Adapters = usualAdapters * s.adapterBytes(usualRank)
	}
	if len(r.Devices) == 0 && r.Layers != None && r.Layers != Auto {
		return Plan{}, ErrNoDevice
	}
	switch {
	case r.Layers == None:
		return p.plan(0, nil, p.fewest(), "the processor was asked for"), nil
	case len(r.Devices) == 0:
		return p.plan(0, nil, p.fewest(), "there is no card"), nil
	}
	switch {
	case r.Layers == Auto:
		return p.auto(), nil
	case r.Layers == All || int(r.Layers) > p.all:
		return p.forced(p.all), nil
	}
	return p.forced(int(r.Layers)), nil
}

// The room for adapters that is kept free: two of rank 16, in F32.
const (
	usualAdapters = 2
	usualRank     = 16
)

func (s Sizes) adapterBytes(rank int64) (n int64) {
	for _, l := range s.Layers {
		n += 4 * rank * l.adapter
	}
	return n
}

// reserve is left alone on a card: for what the driver and the kernels take
// beside the plan, and for others. It is what llama.cpp leaves, 1 GiB, or an
// eighth of a small card.
func reserve(d Device) int64 { return min(1<<30, d.Total/8) }

type planner struct {
	Request
	size Sizes
	all  int // layers, the output being one
}

func (p *planner) fewest() int {
	if p.Slots > 0 {
		return p.Slots
	}
	return fewSlots
}

// auto takes as many layers as fit, on one card if one has room for all.
func (p *planner) auto() Plan {
	slots := p.fewest()
	best := slices.MaxFunc(p.Devices, func(a, b Device) int { return cmp.Compare(room(a), room(b)) })
	one := []Device{best}
	if counts, ok := p.share(p.all, one, slots); ok {
		return p.widen(one, counts)
	}
	for n := p.all; n > 0; n-- {
		if counts, ok := p.share(n, p.Devices, slots); ok {
			if n == p.all {
				return p.widen(p.Devices, counts)
			}
			return p.plan(n, p.zip(p.Devices, counts), slots, fmt.Sprintf("%d of %d layers fit: %s", n, p.all, p.free()))
		}
	}
	return p.plan(0, nil, slots, "not one layer fits: "+p.free())
}

// free says how much room there is.
func (p *planner) free() string {
	var parts []string
	for _, d := range p.Devices {
		parts = append(parts, fmt.Sprintf("%s has %d MiB free, of which %d stay free", d.Name, d.Free>>20, reserve(d)>>20))
	}
	return strings.Join(parts, ", ")
}

func room(d Device) int64 { return max(0, d.Free-reserve(d)) }

// widen takes more slots when all layers are on cards: as many as fit into half
// of what is left, so that another model and training find room as well.
func (p *planner) widen(devices []Device, counts []int) Plan {
	slots := p.fewest()
	for more := manySlots; p.Slots == 0 && more > slots; more -= 4 {
		if wide, ok := p.share(p.all, p.halved(devices, counts, slots), more); ok {
			return p.plan(p.all, p.zip(devices, wide), more, "")
		}
	}
	return p.plan(p.all, p.zip(devices, counts), slots, "")
}

// halved are the devices with half of what a plan leaves taken away.
func (p *planner) halved(devices []Device, counts []int, slots int) []Device {
	out := slices.Clone(devices)
	first := 0
	for i := range out {
		out[i].Free -= max(0, (room(out[i])-p.need(first, counts[i], p.all, slots).Bytes())/2)
		first += counts[i]
	}
	return out
}

// share gives the last n layers to the devices, in order, each filled to the
// same part of its room; ok is false if they do not fit.
func (p *planner) share(n int, devices []Device, slots int) (counts []int, ok bool) {
	if counts, ok = p.fill(n, devices, slots, 1); !ok {
		return nil, false
	}
	if len(devices) == 1 {
		return counts, true
	}
	low, high := 0.0, 1.0
	for range 12 {
		mid := (low + high) / 2
		if c, fits := p.fill(n, devices, slots, mid); fits {
			counts, high = c, mid
		} else {
			low = mid
		}
	}
	return counts, true
}

// fill gives each device as many of the last n layers as fit into that part of its room.
func (p *planner) fill(n int, devices []Device, slots int, part float64) ([]int, bool) {
	counts := make([]int, len(devices))
	next := p.all - n
	for i, d := range devices {
		limit := int64(part * float64(room(d)))
		for next+counts[i] < p.all && p.need(next, counts[i]+1, n, slots).Bytes() <= limit {
			counts[i]++
		}
		next += counts[i]
	}
	return counts, next == p.all
}

// forced is the plan for a number of layers that the user wants: by the share of
// the room, and on the first card all the same where they do not fit.
func (p *planner) forced(n int) Plan {
	slots := p.fewest()
	reason := ""
	if n < p.all {
		reason = fmt.Sprintf("%d of %d layers were asked for", n, p.all)
	}
	counts, ok := p.share(n, p.Devices, slots)
	if !ok {
		counts = p.byRoom(n)
	} else if n == p.all {
		return p.widen(p.Devices, counts)
	}
	return p.plan(n, p.zip(p.Devices, counts), slots, reason)
}

// byRoom divides n layers among the devices by how much room they have.
func (p *planner) byRoom(n int) []int {
	counts := make([]int, len(p.Devices))
	var all, before int64
	for _, d := range p.Devices {
		all += room(d) + 1
	}
	given := 0
	for i, d := range p.Devices {
		before += room(d) + 1
		upTo := int(int64(n) * before / all)
		counts[i], given = upTo-given, upTo
	}
	return counts
}

// part is a device with the layers that it gets.
type part struct {
	Device
	layers int
}

// zip leaves out devices that get nothing.
func (p *planner) zip(devices []Device, counts []int) (out []part) {
	for i, d := range devices {
		if counts[i] > 0 {
			out = append(out, part{d, counts[i]})
		}
	}
	return out
}

// plan puts the last n layers on the parts and adds everything up.
func (p *planner) plan(n int, parts []part, slots int, reason string) Plan {
	out := Plan{Layers: n, Of: p.all, Slots: slots, Reason: reason, Host: p.need(0, p.all-n, n, slots)}
	out.Host.Name = "CPU"
	out.Host.Weights += p.size.Input
	if n == p.all {
		out.Host.Compute = 0 // llama.cpp keeps a few rows there
	}
	first := p.all - n
	for _, d := range parts {
		s := p.need(first, d.layers, n, slots)
		s.Name = d.Name
		out.Shares = append(out.Shares, s)
		first += d.layers
	}
	return out
}

// need is what count layers from first on take, when n are on cards in all.
func (p *planner) need(first, count, n, slots int) Share {
	s := Share{Layers: count}
	if count == 0 {
		return s
	}
	tokens := int64(padded(p.Context)) * int64(slots)
	adapters := int64(0)
	for i := first; i < min(first+count, len(p.size.Layers)); i++ {
		l := p.size.Layers[i]
		s.Weights += l.Weights
		s.Cache += l.PerToken*tokens + l.state*int64(slots)
		adapters += l.adapter
	}
	if whole := p.size.adapterBytes(1); whole > 0 {
		s.Adapters = int64(float64(p.Adapters) * float64(4*adapters) / float64(whole))
	}
	output := first+count == p.all
	if output {
		s.Weights += p.size.Output
	}
	s.Compute = p.compute(output)
	if n < p.all && first >= p.all-n { // a card: long prompts send it the weights of the other layers, one after the other
		s.Compute += p.largest()
	}
	return s
}

// padded is a context as llama.cpp rounds it.
func padded(tokens int) int { return (tokens + 255) / 256 * 256 }

// compute is the memory of one step: rows of float32 that live at the same
// time, and the mask in F16. At the output these are the logits and the last
// layer's rows, in a layer the widest of its parts.
func (p *planner) compute(output bool) int64 {
	batch := int64(p.Batch)
	rows := 4*p.size.width + max(3*p.size.inner, p.size.attention+2*p.size.width, p.size.experts)
	if output {
		rows = max(rows, 4*p.size.width+p.size.vocab)
	}
	return 4*batch*rows + 2*batch*int64(padded(p.Context)) + small
}

// small is positions, indices and the like.
const small = 1 << 20

// largest is the weights of the largest layer.
func (p *planner) largest() (n int64) {
	for _, l := range p.size.Layers {
		n = max(n, l.Weights)
	}
	return n
}
