package train

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"math"
	"runtime"
	"slices"
	"strings"
	"sync"

	"cloister/llama"
	"cloister/llama/gguf"
	"cloister/lora/data"
	"cloister/lora/model"
)

// packLength is the length of packed rows, in tokens, when no example is
// longer: long enough for the matrix products to run at full speed.
const packLength = 512

// prepared is a job whose examples are tokenised and whose hyper-parameters
// are all known.
type prepared struct {
	where        where
	architecture string
	facts        Facts
	guessing     float64 // loss of a model to which all tokens are alike
	vocab        int
	h            Hyperparameters
	asked        string // precision; empty: it was chosen
	train, valid []data.Row
	rowLen       int // of packed rows, at most
	init         *Adapter
	teacher      *teaching // nil: none
	identity     identity
	notes        []Event // choices and warnings, to be told when the job begins
}

func (p *prepared) warn(format string, a ...any) {
	p.notes = append(p.notes, Event{Kind: "warning", Message: fmt.Sprintf(format, a...)})
}

// prepare reads all that a job needs except the weights.
func prepare(ctx context.Context, req Request) (*prepared, error) {
	if err := req.Hyperparameters.Validate(); err != nil {
		return nil, err
	}
	w, err := settle(&req)
	if err != nil {
		return nil, err
	}
	has := model.PrecisionsOn(w.device)
	if of := req.Hyperparameters.Precision; of != "" && !slices.Contains(has, model.Precision(of)) {
		return nil, wrong("precision", "is %s, which %s does not multiply; leave it out or take %s", of, w, float32s)
	}
	p := &prepared{where: w, h: req.Hyperparameters, asked: req.Hyperparameters.Precision}
	if err := p.base(req.BasePath); err != nil {
		return nil, err
	}
	if req.InitPath != "" {
		if err := p.continueFrom(req.InitPath); err != nil {
			return nil, err
		}
	}
	if err := p.withTeacher(req); err != nil {
		return nil, err
	}
	v, err := llama.OpenVocab(req.BasePath)
	if err != nil {
		return nil, err
	}
	defer v.Close()
	if p.train, err = p.render(ctx, v, req.Train, "training"); err != nil {
		return nil, err
	}
	if p.valid, err = p.render(ctx, v, req.Valid, "validation"); err != nil {
		return nil, err
	}
	p.facts.Examples, p.facts.ValidExamples = len(p.train), len(p.valid)
	for i := range p.train {
		if d := p.train[i].Desirable; d != nil && *d {
			p.facts.Desirable++
		}
	}
	p.facts.Tokens, p.facts.Precisions, p.facts.OnCard = tokens(p.train), has, w.card != nil
	p.resolve()
	p.train = p.cut(p.train, "training")
	p.valid = p.cut(p.valid, "validation")
	if len(p.train) == 0 {
		return nil, ErrNoExamples
	}
	p.rowLen = max(longest(p.train), longest(p.valid), min(packLength, p.h.MaxLength))
	p.identify()
	return p, nil
}

// resolve chooses what was left open and notes each choice.
func (p *prepared) resolve() {
	p.facts.LongestTokens = max(longest(p.train), longest(p.valid))
	var choices []Choice
	p.h, choices = Resolve(p.h, p.facts)
	if p.teacher != nil {
		p.teacher.cfg.Precision = model.Precision(p.h.Precision)
	}
	for i := range choices {
		c := &choices[i]
		p.notes = append(p.notes, Event{Kind: "choice", Message: fmt.Sprintf("%s = %s: %s", c.Name, c.Value, c.Reason), Choice: c})
	}
	if n := p.facts.Examples; n < 20 {
		p.warn("only %d examples to learn from; at least 50 are advisable", n)
	}
}

func longest(rows []data.Row) int {
	n := 0
	for i := range rows {
		n = max(n, rows[i].Size())
	}
	return n
}

// base reads the metadata of the base model.
func (p *prepared) base(path string) error {
	f, err := gguf.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	p.architecture, _ = f.String("general.architecture")
	p.facts.Architecture = p.architecture
	n, _ := f.Uint(p.architecture + ".context_length")
	p.facts.Context = int(min(n, 1<<30))
	for i := range f.Tensors {
		p.facts.Parameters += int64(f.Tensors[i].Elements())
		if t := &f.Tensors[i]; t.Name == "token_embd.weight" && len(t.Dims) == 2 {
			p.guessing, p.vocab = math.Log(float64(t.Dims[1])), int(t.Dims[1])
		}
	}
	if p.facts.Targets, err = model.TargetsOf(f, nil); err != nil {
		return fmt.Errorf("cannot train on %s: %w", path, err)
	}
	if len(p.h.Targets) > 0 {
		if p.h.Targets, err = model.TargetsOf(f, p.h.Targets); err != nil {
			return fmt.Errorf("target_modules: %w", err)
		}
	}
	p.identity.Base, err = fingerprint(path, f)
	return err
}

// fingerprint tells one base model from another without reading all of it: by
// its size, its metadata and the first 4 KiB of each tensor.
func fingerprint(path string, f *gguf.File) (string, error) {
	file, err := gguf.OpenSection(path)
	if err != nil {
		return "", err
	}
	defer file.Close()
	header := f.Size
	for i := range f.Tensors {
		header = min(header, int64(f.Tensors[i].Offset))
	}
	h := sha256.New()
	number(h, uint64(f.Size))
	if _, err := io.CopyN(h, file, header); err != nil {
		return "", err
	}
	for i := range f.Tensors {
		d := f.Tensors[i].Data
		_, _ = h.Write(d[:min(len(d), 4096)])
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// continueFrom reads the adapter to continue from and takes its shape over.
func (p *prepared) continueFrom(path string) error {
	a, targets, err := readAdapterFor(path, p.architecture)
	if err != nil {
		return err
	}
	if h := p.h; h.RankStabilized || h.Rank != 0 && h.Rank != a.Rank || h.Alpha != 0 && h.Alpha != a.Alpha || len(h.Targets) > 0 && !sameSet(h.Targets, targets) {
		return fmt.Errorf("%s has rank %d, alpha %g and the targets %s; leave rank, alpha, use_rslora and target_modules out to continue from it", path, a.Rank, a.Alpha, strings.Join(targets, ", "))
	}
	p.init, p.h.Rank, p.h.Alpha, p.h.Targets = a, a.Rank, a.Alpha, targets
	return nil
}

// readAdapterFor reads an adapter for a model of this architecture, which must
// have one rank, and says which matrices it changes.
func readAdapterFor(path, architecture string) (a *Adapter, targets []string, err error) {
	if a, err = ReadAdapter(path); err != nil {
		return nil, nil, err
	}
	if a.Architecture != architecture {
		return nil, nil, fmt.Errorf("%s is an adapter for %q; the base model is %q", path, a.Architecture, architecture)
	}
	if a.Rank == 0 {
		return nil, nil, fmt.Errorf("%s has matrices of different ranks; only an adapter of one rank can be trained further or teach; merge it into its base instead", path)
	}
	for _, t := range AllTargets {
		if slices.ContainsFunc(a.Tensors, func(x AdapterTensor) bool { return strings.Contains(x.Name, "."+t+".") }) {
			targets = append(targets, t)
		}
	}
	return a, targets, nil
}

func sameSet(a, b []string) bool {
	a, b = slices.Clone(a), slices.Clone(b)
	slices.Sort(a)
	slices.Sort(b)
	return slices.Equal(a, b)
}

// render tokenises examples, in parallel. Examples without anything to learn
// are left out with a warning; any other trouble ends the job.
func (p *prepared) render(ctx context.Context, v data.Vocab, examples []Example, what string) ([]data.Row, error) {
	examples, note, err := examplesFor(cmp.Or(p.h.Method, sft), examples, what)
	if err != nil {
		return nil, err
	}
	if note != "" {
		p.warn("%s", note)
	}
	rows, errs := make([]data.Row, len(examples)), make([]error, len(examples))
	var wg sync.WaitGroup
	workers := runtime.GOMAXPROCS(0)
	for w := range workers {
		wg.Go(func() {
			for i := w; i < len(examples) && ctx.Err() == nil; i += workers {
				rows[i], errs[i] = examples[i].render(v)
			}
		})
	}
	wg.Wait()
	if ctx.Err() != nil {
		return nil, ErrStopped
	}
	var out []data.Row
	var empty []int
	for i, err := range errs {
		switch {
		case errors.Is(err, data.ErrNothingToLearn):
			empty = append(empty, rows[i].Row)
		case err != nil:
			return nil, fmt.Errorf("%s example of row %d: %w", what, examples[i].Row, err)
		default:
			out = append(out, rows[i])
		}
	}
	if len(empty) > 0 {
		p.warn("%d %s examples have no assistant message to learn from and are left out: %s", len(empty), what, listRows(empty))
	}
	return out, nil
}

// cut shortens rows to MaxLength. What is then without a target is left out.
func (p *prepared) cut(rows []data.Row, what string) []data.Row {
	var out []data.Row
	var shortened, empty []int
	for _, r := range rows {
		cut := r.Truncate(p.h.MaxLength)
		if r.Rejected != nil {
			cut = r.Rejected.Truncate(p.h.MaxLength) || cut
		}
		if cut {
			shortened = append(shortened, r.Row)
		}
		if r.Targets() == 0 || r.Rejected != nil && r.Rejected.Targets() == 0 {
			empty = append(empty, r.Row)
			continue
		}
		out = append(out, r)
	}
	if len(shortened) > 0 {
		p.warn("%d %s examples are longer than %d tokens (max_length) and are cut at the end: %s", len(shortened), what, p.h.MaxLength, listRows(shortened))
	}
	if len(empty) > 0 {
		p.warn("the answers of %d of them begin after the cut, so they are left out: %s", len(empty), listRows(empty))
	}
	return out
}

// render tokenises the example, and its other answer if it is a pair.
func (e *Example) render(v data.Vocab) (data.Row, error) {
	row, err := data.Render(v, e.Messages, 0)
	row.Row, row.Desirable = e.Row, e.Desirable
	if err == nil && e.Rejected != "" {
		var other data.Row
		other, err = data.Render(v, e.other(), 0)
		other.Row, row.Rejected = e.Row, &other
	}
	return row, err
}

// listRows names at most 20 rows.
func listRows(rows []int) string {
	var b strings.Builder
	b.WriteString("row ")
	for i, r := range rows {
		switch {
		case i == 20:
			fmt.Fprintf(&b, " and %d more", len(rows)-i)
			return b.String()
		case i > 0:
			b.WriteString(", ")
		}
		fmt.Fprint(&b, r)
	}
	return b.String()
}

// identify fingerprints examples and hyper-parameters. The multiplier is in
// the learning rate already.
func (p *prepared) identify() {
	h := sha256.New()
	for _, rows := range [][]data.Row{p.train, p.valid} {
		number(h, uint64(len(rows)))
		for i := range rows {
			hashRow(h, &rows[i])
		}
	}
	p.identity.Examples = hex.EncodeToString(h.Sum(nil))
	settings := p.h
	settings.LearningRateMultiplier = 0
	p.identity.Hyperparameters = p.settings(settings)
	settings.Precision = p.asked
	p.identity.Settings = p.settings(settings)
}

// settings fingerprints hyper-parameters with what they refer to.
func (p *prepared) settings(s Hyperparameters) string {
	h := sha256.New()
	text, _ := json.Marshal(s) // a struct of numbers and strings
	_, _ = h.Write(text)
	if p.init != nil {
		for _, t := range p.init.Tensors {
			_ = binary.Write(h, binary.LittleEndian, t.Data)
		}
	}
	if p.teacher != nil {
		_, _ = io.WriteString(h, p.teacher.fingerprint)
	}
	return hex.EncodeToString(h.Sum(nil))
}

// arithmetic is what decides the last digits of all results.
func (p *prepared) arithmetic() string {
	kind := model.OnCPU
	if p.where.card != nil {
		kind = model.OnCUDA
	}
	return kind + " " + p.h.Precision
}

// hashRow hashes what a row says, what is thought of it included.
func hashRow(h hash.Hash, r *data.Row) {
	number(h, uint64(len(r.Tokens)))
	for j, t := range r.Tokens {
		target := uint64(0)
		if r.Mask[j] {
			target = 1
		}
		number(h, uint64(t)<<1|target)
	}
	if r.Rejected != nil {
		hashRow(h, r.Rejected)
	}
	if r.Desirable != nil {
		number(h, map[bool]uint64{false: 1, true: 2}[*r.Desirable])
	}
}

func number(h hash.Hash, n uint64) {
	var b [8]byte
	binary.LittleEndian.PutUint64(b[:], n)
	_, _ = h.Write(b[:])
}
