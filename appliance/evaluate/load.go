package evaluate

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"cloister/appliance/datasets"
	"cloister/appliance/fault"
	"cloister/llama/chat"
	"cloister/lora/eval"
	"cloister/store"
	"cloister/store/clean"
	"cloister/store/ingest"
)

// load reads the held-out examples, completes the record with where they come
// from, and names the source.
func (r *run) load(ctx context.Context, file io.Reader, record *store.Evaluation) (source string, err error) {
	if r.req.Leak && r.req.Dataset == "" && file == nil {
		if r.job == nil {
			return "", fault.New(fault.Invalid, "", "dataset", "%s was not tuned here, so it has no test split of its own: name a dataset or a file.", r.model.Name())
		}
		r.req.Dataset, r.req.Version = r.job.Dataset, r.job.Version
	}
	if r.req.Dataset == "" {
		record.Split, source = "", filepath.Base(r.req.FileName)
		err = r.loadFile(ctx, source, file)
	} else {
		source, err = r.loadSplit(ctx, file, record)
	}
	if err != nil {
		return "", err
	}
	if len(r.cases) == 0 {
		return "", fault.New(fault.Invalid, "no_examples", "dataset", "%s has no examples to evaluate on.", source)
	}
	return source, nil
}

// loadFile takes the examples of a file.
func (r *run) loadFile(ctx context.Context, name string, file io.Reader) error {
	if file == nil {
		return fault.New(fault.Invalid, "", "dataset", "The request names no data: give a dataset or a file.")
	}
	all, err := r.readFile(ctx, name, file)
	r.cases = choose(all, r.req.Limit)
	return err
}

// loadSplit takes those of a dataset's split, with the keys of a file if one
// came along.
func (r *run) loadSplit(ctx context.Context, file io.Reader, record *store.Evaluation) (source string, err error) {
	v, err := r.st.Version(r.req.Dataset, r.req.Version)
	if errors.Is(err, store.ErrNotFound) {
		return "", datasets.NotFound(r.req.Dataset, r.req.Version).Wrap(err)
	}
	if err != nil {
		return "", err
	}
	record.Dataset, record.Version, record.Split = v.Dataset, v.Number, cmp.Or(r.req.Split, store.Test)
	source = fmt.Sprintf("%s@%d %s", v.Dataset, v.Number, record.Split)
	if r.cases, err = r.split(v.Dataset, v.Number, record.Split, r.req.Limit); err == nil && file != nil && len(r.cases) > 0 {
		err = r.addKeys(ctx, filepath.Base(r.req.FileName), file)
	}
	return source, err
}

// split reads the examples of a split, at most limit of them (0: all), chosen
// by hash so that a larger limit keeps the smaller one's choice.
func (r *run) split(dataset string, version int, split store.Split, limit int) ([]example, error) {
	var out []example
	for ex, err := range r.st.Examples(dataset, version, split) {
		if err != nil {
			return nil, err
		}
		if e, ok := fromStored(ex); ok {
			out = append(out, e)
		}
	}
	return choose(out, limit), nil
}

// fromStored makes a case of a stored conversation: what is expected is its
// last assistant turn.
//
// One that was judged undesirable is nothing to expect.
func fromStored(ex store.Example) (example, bool) {
	if ex.Desirable != nil && !*ex.Desirable {
		return example{}, false
	}
	end := len(ex.Messages)
	for end > 0 && ex.Messages[end-1].Role != "assistant" {
		end--
	}
	if end < 2 {
		return example{}, false
	}
	e := example{item: eval.Item{Row: ex.Row, Expected: ex.Messages[end-1].Content}}
	for _, m := range ex.Messages[:end] {
		if m.Role == "user" {
			e.item.Question = m.Content
		}
		e.messages = append(e.messages, chat.Message{Role: m.Role, Content: m.Content})
	}
	// Earlier answers are what was said before, not what is measured.
	for i := range e.messages[:end-1] {
		if e.messages[i].Role == "assistant" {
			e.messages[i].Weight = new(int)
		}
	}
	return e, true
}

// choose keeps at most limit examples (0: all), by a hash of their texts, in
// their order.
func choose(all []example, limit int) []example {
	if limit <= 0 || len(all) <= limit {
		return all
	}
	order := make([]int, len(all))
	hash := make([]uint64, len(all))
	for i, e := range all {
		order[i] = i
		sum := sha256.Sum256([]byte(e.item.Question + "\x00" + e.item.Expected))
		hash[i] = binary.BigEndian.Uint64(sum[:])
	}
	slices.SortFunc(order, func(a, b int) int { return cmp.Or(cmp.Compare(hash[a], hash[b]), a-b) })
	order = order[:limit]
	slices.Sort(order)
	out := make([]example, limit)
	for i, at := range order {
		out[i] = all[at]
	}
	return out
}

// Columns of an evaluation file besides question and expected.
const (
	keyColumn   = "key"
	humanColumn = "human_score"
	ratedColumn = "answer"
)

// readFile reads a file of questions and expected answers, and masks them.
func (r *run) readFile(ctx context.Context, name string, file io.Reader) ([]example, error) {
	var out []example
	system := cmp.Or(r.req.System, r.system)
	err := ingest.Read(file, name, ingest.Options{
		QuestionColumn: r.req.QuestionColumn, AnswerColumn: cmp.Or(r.req.AnswerColumn, "expected"), Optional: []string{keyColumn, humanColumn, ratedColumn},
	}, func(rec ingest.Record) error {
		if strings.TrimSpace(rec.Question) == "" || strings.TrimSpace(rec.Answer) == "" {
			return nil // an empty line of a spreadsheet
		}
		e, err := r.fromRecord(rec, name, system)
		if err != nil {
			return err
		}
		out = append(out, e)
		return ctx.Err()
	})
	if bad, ok := errors.AsType[*ingest.Error](err); ok {
		return nil, fault.New(fault.Invalid, "invalid_file_format", "file", "%s. An evaluation file has the columns question and expected; key, human_score and answer are optional.", strings.TrimSuffix(bad.Error(), ".")).Wrap(bad)
	}
	return out, err
}

// addKeys reads a file of questions and key facts and gives the cases theirs.
// Questions are compared as clean.Group does; those of other splits are passed
// over.
func (r *run) addKeys(ctx context.Context, name string, file io.Reader) error {
	keys := map[string]string{}
	err := ingest.Read(file, name, ingest.Options{QuestionColumn: "question", AnswerColumn: keyColumn}, func(rec ingest.Record) error {
		masked, _, err := r.mask.MaskRecord([]string{rec.Question, rec.Answer})
		if err != nil {
			return err
		}
		keys[clean.Group(masked[0].String())] = eitherKey(rec.Answer, masked[1].String())
		return ctx.Err()
	})
	if bad, ok := errors.AsType[*ingest.Error](err); ok {
		return fault.New(fault.Invalid, "invalid_file_format", "file", "%s. A file of keys has the columns question and key.", strings.TrimSuffix(bad.Error(), ".")).Wrap(bad)
	}
	if err != nil {
		return err
	}
	for i := range r.cases {
		it := &r.cases[i].item
		it.Key = keys[clean.Group(it.Question)]
		if it.Key == "" {
			r.keyless++
		}
	}
	if r.keyless == len(r.cases) {
		return fault.New(fault.Invalid, "no_keys", "file", "%s has a key for none of the %d questions.", name, len(r.cases))
	}
	return nil
}

// eitherKey is a key as it was written or as it was masked: a model may answer
// with a mask token or, where the value is allowed, with the value.
func eitherKey(raw, masked string) string {
	if raw = strings.TrimSpace(raw); raw == strings.TrimSpace(masked) {
		return raw
	}
	return raw + "|" + masked
}

// fromRecord makes a case of a row.
func (r *run) fromRecord(rec ingest.Record, name, system string) (example, error) {
	system = cmp.Or(rec.System, system)
	masked, _, err := r.mask.MaskRecord([]string{rec.Question, rec.Answer, system, rec.Extra[keyColumn], rec.Extra[ratedColumn]})
	if err != nil {
		return example{}, err
	}
	question, expected := masked[0].String(), masked[1].String()
	e := example{item: eval.Item{
		Row: rec.Row, Question: question, Expected: expected,
		Key: eitherKey(rec.Extra[keyColumn], masked[3].String()), Rated: masked[4].String(),
	}}
	if text := strings.TrimSpace(rec.Extra[humanColumn]); text != "" {
		score, err := strconv.ParseFloat(text, 64)
		if err != nil || math.IsNaN(score) || math.IsInf(score, 0) {
			return example{}, fault.New(fault.Invalid, "invalid_file_format", "file", "%s, row %d, column %s: expected a number.", name, rec.Row, humanColumn)
		}
		e.item.HumanScore = &score
	}
	if masked[2].String() != "" {
		e.messages = append(e.messages, chat.Message{Role: "system", Content: masked[2].String()})
	}
	e.messages = append(e.messages, chat.Message{Role: "user", Content: question}, chat.Message{Role: "assistant", Content: expected})
	return e, nil
}
