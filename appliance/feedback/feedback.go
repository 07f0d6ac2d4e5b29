package feedback

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"cloister/appliance/fault"
	"cloister/appliance/masking"
	"cloister/store"
	"cloister/store/clean"
	"cloister/store/ingest"
)

// Bounds of a judgement.
const (
	maxRating = 5
	maxText   = 64 << 10 // bytes of a correction or comment
	maxFile   = 64 << 20 // bytes of a file of ratings
)

// Service keeps judgements.
type Service struct {
	st   *store.Store
	mask *masking.Service
}

// New returns a Service.
func New(st *store.Store, mask *masking.Service) *Service {
	return &Service{st: st, mask: mask}
}

// Record stores a judgement of an answer that is kept; its texts are masked
// together with the answer's, so that a name known there is masked here.
func (s *Service) Record(_ context.Context, req Request) (store.Feedback, error) {
	if err := check(req); err != nil {
		return store.Feedback{}, err
	}
	f, err := s.masked(req)
	if err != nil {
		return store.Feedback{}, err
	}
	return s.st.PutFeedback(f)
}

// masked is a judgement as it is stored.
func (s *Service) masked(req Request) (store.NewFeedback, error) {
	answer, err := s.st.Answer(req.AnswerID)
	if errors.Is(err, store.ErrNotFound) {
		return store.NewFeedback{}, fault.New(fault.NotFound, "answer_not_found", "answer_id", "There is no answer %q; answers are kept for a limited time.", req.AnswerID).Wrap(err)
	}
	if err != nil {
		return store.NewFeedback{}, err
	}
	texts := []string{strings.TrimSpace(req.Correction), strings.TrimSpace(req.Comment), answer.Answer}
	for _, m := range answer.Messages {
		texts = append(texts, m.Content)
	}
	masked, _, err := s.mask.MaskRecord(texts)
	if err != nil {
		return store.NewFeedback{}, err
	}
	return store.NewFeedback{
		AnswerID: req.AnswerID, Rating: req.Rating, By: req.By, Correction: masked[0], Comment: masked[1],
	}, nil
}

func check(req Request) error {
	switch {
	case req.AnswerID == "":
		return fault.New(fault.Invalid, "", "answer_id", "The judgement names no answer.")
	case req.Rating < 0 || req.Rating > maxRating:
		return fault.New(fault.Invalid, "", "rating", "The rating is %d; it must be 1 (bad) to 5 (good).", req.Rating)
	case len(req.Correction) > maxText:
		return fault.New(fault.TooLarge, "", "correction", "The correction has %d bytes; at most %d are kept.", len(req.Correction), maxText)
	case len(req.Comment) > maxText:
		return fault.New(fault.TooLarge, "", "comment", "The comment has %d bytes; at most %d are kept.", len(req.Comment), maxText)
	case req.Rating == 0 && strings.TrimSpace(req.Correction) == "" && strings.TrimSpace(req.Comment) == "":
		return fault.New(fault.Invalid, "", "rating", "The judgement is empty; give a rating, a correction or a comment.")
	}
	return nil
}

// List returns the judgements since a time, newest first.
func (s *Service) List(since time.Time) ([]Item, error) {
	all, err := s.st.FeedbackSince(since)
	if err != nil {
		return nil, err
	}
	slices.Reverse(all)
	items := make([]Item, 0, len(all))
	for _, f := range all {
		item := Item{Feedback: f}
		answer, err := s.st.Answer(f.AnswerID)
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return nil, err
		}
		if err == nil {
			item.Answer = &answer
		}
		items = append(items, item)
	}
	return items, nil
}

// Worst returns the n worst rated judgements since a time: lowest rating
// first, newest first among equals. Those without a rating are left out.
func (s *Service) Worst(since time.Time, n int) ([]Item, error) {
	items, err := s.List(since)
	if err != nil {
		return nil, err
	}
	return worst(items, n), nil
}

func worst(items []Item, n int) []Item {
	rated := slices.DeleteFunc(slices.Clone(items), func(i Item) bool { return i.Rating == 0 })
	slices.SortStableFunc(rated, func(a, b Item) int { return cmp.Compare(a.Rating, b.Rating) })
	return rated[:min(len(rated), max(n, 0))]
}

// Report sums up the judgements since a time, with the n worst of them.
func (s *Service) Report(since time.Time, n int) (Report, error) {
	items, err := s.List(since)
	if err != nil {
		return Report{}, err
	}
	rep := Report{Since: since, Ratings: map[int]int{}, Worst: worst(items, n)}
	sum, rated := 0, 0
	for _, i := range items {
		if i.Rating > 0 {
			rep.Ratings[i.Rating]++
			sum += i.Rating
			rated++
		}
		if i.Correction != "" {
			rep.Corrections++
			if i.AppliedTo == "" {
				rep.Pending++
			}
		}
	}
	if rated > 0 {
		rep.Mean = float64(sum) / float64(rated)
	}
	return rep, nil
}

// Import stores the judgements of a file: CSV, XLSX or JSONL with the columns
// rating and answer_id or question, and perhaps correction and comment. A row
// with a question judges the newest kept answer to it. All rows are checked
// before the first one is stored; rows whose answer is not known are reported
// and left out. Rows that are there already, because a file that grows is
// imported again, are counted and left out.
func (s *Service) Import(ctx context.Context, name string, r io.Reader, by string) (ImportResult, error) {
	rows, err := s.read(ctx, name, r)
	if err != nil {
		return ImportResult{}, err
	}
	var result ImportResult
	var found []Request
	for _, row := range rows {
		if row.AnswerID == "" {
			result.Unmatched = append(result.Unmatched, row.number)
			continue
		}
		if _, err := s.st.Answer(row.AnswerID); errors.Is(err, store.ErrNotFound) {
			result.Unmatched = append(result.Unmatched, row.number)
			continue
		} else if err != nil {
			return ImportResult{}, err
		}
		if err := check(row.Request); err != nil {
			return ImportResult{}, fault.New(fault.Invalid, "", "file", "%s, row %d: %s", name, row.number, err.Error()).Wrap(err)
		}
		row.By = by
		found = append(found, row.Request)
	}
	err = s.store(ctx, found, &result)
	return result, err
}

// judgement is what makes a row of a file the same as one that is stored.
type judgement struct {
	answer              string
	rating              int
	correction, comment string
}

// store keeps the rows of a file that are not there yet.
func (s *Service) store(ctx context.Context, found []Request, result *ImportResult) error {
	there := map[judgement]bool{}
	all, err := s.st.FeedbackSince(time.Time{})
	if err != nil {
		return err
	}
	for _, f := range all {
		there[judgement{f.AnswerID, f.Rating, f.Correction, f.Comment}] = true
	}
	for _, req := range found {
		if err := ctx.Err(); err != nil {
			return err
		}
		f, err := s.masked(req)
		if err != nil {
			return err
		}
		j := judgement{f.AnswerID, f.Rating, f.Correction.String(), f.Comment.String()}
		if there[j] {
			result.Repeated++
			continue
		}
		if _, err := s.st.PutFeedback(f); err != nil {
			return err
		}
		there[j] = true
		result.Imported++
	}
	return nil
}

// row is a line of a file of ratings.
type row struct {
	Request
	number int
}

// read reads a file of ratings, by answer_id if it has that column and by
// question otherwise.
func (s *Service) read(ctx context.Context, name string, r io.Reader) ([]row, error) {
	raw, err := io.ReadAll(io.LimitReader(r, maxFile+1))
	if err != nil {
		return nil, err
	}
	if len(raw) > maxFile {
		return nil, fault.New(fault.TooLarge, "", "file", "%s is larger than %d bytes.", name, maxFile)
	}
	rows, err := s.readBy(ctx, "answer_id", name, raw)
	if err == nil {
		return rows, nil
	}
	bad, ok := errors.AsType[*ingest.Error](err)
	if !ok {
		return nil, err
	}
	rows, err = s.readBy(ctx, "question", name, raw)
	if _, ok := errors.AsType[*ingest.Error](err); ok {
		return nil, fault.New(fault.Invalid, "invalid_file_format", "file", "%s. The file needs the column rating and either answer_id or question; correction and comment are optional.", strings.TrimSuffix(bad.Error(), ".")).Wrap(err)
	}
	return rows, err
}

func (s *Service) readBy(ctx context.Context, key, name string, raw []byte) ([]row, error) {
	var answers map[string]string // question's group to the newest answer's id
	if key == "question" {
		var err error
		if answers, err = s.byQuestion(); err != nil {
			return nil, err
		}
	}
	var rows []row
	err := ingest.Read(bytes.NewReader(raw), name, ingest.Options{
		QuestionColumn: key, AnswerColumn: "rating", Optional: []string{"correction", "comment"}, FixedColumns: true,
	}, func(rec ingest.Record) error {
		if rec.Question == "" && rec.Answer == "" && rec.Extra["correction"] == "" {
			return nil // an empty line of a spreadsheet
		}
		rating, err := parseRating(rec.Answer)
		if err != nil {
			return fault.New(fault.Invalid, "", "file", "%s, row %d, column rating: %s", name, rec.Row, err)
		}
		r := row{number: rec.Row, Request: Request{AnswerID: strings.TrimSpace(rec.Question), Rating: rating, Correction: rec.Extra["correction"], Comment: rec.Extra["comment"]}}
		if answers != nil {
			masked, _, err := s.mask.Mask(rec.Question)
			if err != nil {
				return err
			}
			r.AnswerID = answers[clean.Group(masked.String())]
		}
		rows = append(rows, r)
		return ctx.Err()
	})
	return rows, err
}

// parseRating reads a rating; an empty cell is none. Spreadsheets write 4 as 4.0.
func parseRating(text string) (int, error) {
	text = strings.TrimSpace(text)
	if text == "" {
		return 0, nil
	}
	v, err := strconv.ParseFloat(text, 64)
	if err != nil || v != float64(int(v)) || v < 1 || v > maxRating {
		return 0, fmt.Errorf("the rating must be a whole number from 1 (bad) to 5 (good)")
	}
	return int(v), nil
}

// byQuestion leads the group of each kept answer's question to the newest
// answer's id.
func (s *Service) byQuestion() (map[string]string, error) {
	all, _, err := s.st.Answers(store.Page{Ascending: true})
	if err != nil {
		return nil, err
	}
	ids := map[string]string{}
	for _, a := range all {
		for _, m := range slices.Backward(a.Messages) {
			if m.Role == "user" {
				ids[clean.Group(m.Content)] = a.ID
				break
			}
		}
	}
	return ids, nil
}
