package datasets

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"

	"cloister/appliance/engine"
	"cloister/appliance/fault"
	"cloister/appliance/masking"
	"cloister/appliance/secondpass"
	"cloister/store/ingest"
	"cloister/store/pii"
)

// Reader is a model that reads masked texts for the names and addresses that
// are left: *secondpass.Reader.
type Reader interface {
	Name() string
	Slots() int
	Read(ctx context.Context, masked string) ([]pii.Value, error)
}

var _ Reader = (*secondpass.Reader)(nil)

// OpenReader starts a model; the empty name means the one that is served by
// default.
type OpenReader func(ctx context.Context, model string) (Reader, error)

// secondPass holds what a model proposed for the rows of a file, and counts what
// came of it. A nil one has proposed nothing.
type secondPass struct {
	rep         SecondPassReport
	suggestions map[int][]pii.Suggestion // by row
	mask        *masking.Service
}

// readAgain lets a model read the records, if the request asks for it.
func (s *Service) readAgain(ctx context.Context, req ImportRequest, records []ingest.Record, progress func(done, total int)) (*secondPass, error) {
	if !req.SecondPass {
		return nil, nil
	}
	if s.SecondPass == nil {
		return nil, fault.New(fault.Invalid, "", "second_pass", "There are no models here for a second pass.")
	}
	r, err := s.SecondPass(ctx, req.Model)
	if err != nil {
		return nil, err
	}
	p := &secondPass{rep: SecondPassReport{Model: r.Name(), Read: len(records)}, suggestions: map[int][]pii.Suggestion{}, mask: s.mask}
	var mu sync.Mutex
	done := 0
	err = engine.Each(ctx, r.Slots(), len(records), func(ctx context.Context, i int) error {
		values, err := s.propose(ctx, r, records[i])
		if err != nil {
			return fmt.Errorf("row %d: %w", records[i].Row, err)
		}
		mu.Lock()
		defer mu.Unlock()
		p.rep.Proposed += len(values)
		if len(values) > 0 {
			p.suggestions[records[i].Row] = secondpass.Suggestions(r.Name(), values)
		}
		if done++; progress != nil {
			progress(done, len(records))
		}
		return nil
	})
	return p, err
}

// propose lets the model read one record.
func (s *Service) propose(ctx context.Context, r Reader, rec ingest.Record) ([]pii.Value, error) {
	masked, _, err := s.mask.MaskRecord(own(withRejected(turns(rec), judgement{rejected: rec.Rejected})))
	if err != nil {
		return nil, err
	}
	var texts []string
	for _, m := range masked {
		texts = append(texts, m.String())
	}
	return r.Read(ctx, strings.Join(texts, "\n\n"))
}

// of returns what was proposed for a row.
func (p *secondPass) of(row int) []pii.Suggestion {
	if p == nil {
		return nil
	}
	return p.suggestions[row]
}

// count notes what came of the proposals for a row.
func (p *secondPass) count(row int, texts []string, findings [][]pii.Finding) error {
	if p == nil || len(p.suggestions[row]) == 0 {
		return nil
	}
	places := 0
	for i, list := range findings {
		for _, f := range list {
			if f.Recogniser != pii.SecondPass {
				continue
			}
			places++
			token, err := p.mask.Token(pii.Value{Entity: f.Entity, Value: texts[i][f.Start:f.End]})
			if err != nil {
				return err
			}
			if p.rep.Tokens == nil {
				p.rep.Tokens = map[int][]string{}
			}
			if !slices.Contains(p.rep.Tokens[row], token) {
				p.rep.Tokens[row] = append(p.rep.Tokens[row], token)
			}
		}
	}
	p.rep.Places += places
	if places > 0 {
		p.rep.Rows++
	}
	return nil
}

// report is nil without a second pass.
func (p *secondPass) report() *SecondPassReport {
	if p == nil {
		return nil
	}
	return &p.rep
}

// recalled returns the second pass of an earlier version of the same file.
func (s *Service) recalled(rep *SecondPassReport) (*secondPass, error) {
	if rep == nil {
		return nil, nil
	}
	p := &secondPass{rep: *rep, suggestions: map[int][]pii.Suggestion{}, mask: s.mask}
	p.rep.Places, p.rep.Rows, p.rep.Tokens = 0, 0, nil
	for row, list := range rep.Tokens {
		var values []pii.Value
		for _, token := range list {
			v, err := s.mask.Value(token)
			if err != nil {
				return nil, err
			}
			values = append(values, v)
		}
		p.suggestions[row] = secondpass.Suggestions(rep.Model, values)
	}
	return p, nil
}
