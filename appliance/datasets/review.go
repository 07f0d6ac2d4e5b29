package datasets

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"unicode/utf8"

	"cloister/appliance/fault"
	"cloister/appliance/masking"
	"cloister/store"
	"cloister/store/ingest"
	"cloister/store/pii"
)

// Bounds of the scores of what is uncertain, unless a request says otherwise.
// The masker masks from pii.DefaultMinScore, which is in the middle.
const (
	DefaultFrom = 0.3
	DefaultTo   = 0.7
)

// maxReview bounds the items of one review: more would not be read.
const maxReview = 1000

// ReviewRequest says which findings are uncertain.
type ReviewRequest struct {
	From  float64 // lowest score
	To    float64 // scores below it
	Limit int     // items at most; 0: all, up to maxReview
}

// ReviewItem is something that a person is asked about. It holds personal data
// in full, so it is for eyes that may see the original, and never stored.
type ReviewItem struct {
	// ID names it in decisions: the same value in the same record has the same
	// one in every version.
	ID string `json:"id"`
	// Kind is "finding", about a value in one record, or "proposal", about one
	// that stands in many answers and may be the institution's own: see Proposal.
	Kind   string `json:"kind"`
	Entity string `json:"entity"`
	Value  string `json:"value"`
	Masked bool   `json:"masked"` // in this version
	// Of findings: the row of the file, the role of the text, the best score of
	// the places, why, and their number in the record.
	Row        int     `json:"row,omitempty"`
	Role       string  `json:"role,omitempty"`
	Score      float64 `json:"score,omitempty"`
	Recogniser string  `json:"recogniser,omitempty"`
	Evidence   string  `json:"evidence,omitempty"`
	Places     int     `json:"places,omitempty"`
	Before     string  `json:"before,omitempty"` // what stands before the first place
	After      string  `json:"after,omitempty"`
	// Of proposals: see Proposal.
	Token     string   `json:"token,omitempty"`
	Rows      int      `json:"rows,omitempty"`
	Questions int      `json:"questions,omitempty"`
	Contexts  []string `json:"contexts,omitempty"`

	record string // its fingerprint
}

// Kinds of ReviewItem.
const (
	KindFinding  = "finding"
	KindProposal = "proposal"
)

// Review is a list of what is uncertain.
type Review struct {
	Items []ReviewItem `json:"items"` // never nil; proposals first, then findings by row
	Total int          `json:"total"` // before the limit
}

// Decided says what became of decisions.
type Decided struct {
	Counts  map[masking.Verdict]int `json:"counts"`
	Version *store.Version          `json:"version,omitempty"` // made with them, if asked for
}

// Review lists what is uncertain in a version (0: the newest): proposals for the
// allow list, and findings with scores between two bounds, those that are masked
// and those that just are not. The original is read again and masked by the
// rules and decisions of now, so what was decided is not asked again.
func (s *Service) Review(ctx context.Context, dataset string, number int, req ReviewRequest) (Review, error) {
	if !(req.From >= 0 && req.From < req.To && req.To <= 1.01) {
		return Review{}, fault.New(fault.Invalid, "", "from", "The scores are from %v to %v; the first must be at least 0 and below the second, which is at most 1.", req.From, req.To)
	}
	src, err := s.original(ctx, dataset, number)
	if err != nil {
		return Review{}, err
	}
	limit := maxReview
	if req.Limit > 0 {
		limit = min(limit, req.Limit)
	}
	out := Review{Items: []ReviewItem{}}
	err = s.uncertain(ctx, src, req.From, req.To, func(item ReviewItem) error {
		if out.Total++; out.Total <= limit {
			out.Items = append(out.Items, item)
		}
		return nil
	})
	return out, err
}

// Decide keeps decisions on items of a review by their IDs, all or none; with
// apply it makes a new version of the newest one with them.
func (s *Service) Decide(ctx context.Context, dataset string, number int, verdicts map[string]masking.Verdict, apply bool) (Decided, error) {
	out := Decided{Counts: map[masking.Verdict]int{}}
	src, err := s.original(ctx, dataset, number)
	if err != nil {
		return out, err
	}
	if latest, err := s.latest(dataset); err != nil || apply && src.version.Number != latest {
		return out, cmp.Or(err, error(fault.New(fault.Conflict, "not_newest", "version", "%s@%d is not the newest version, so decisions on it cannot be applied now; without that they count from the next import on.", dataset, src.version.Number)))
	}
	list, err := s.decisions(ctx, src, verdicts)
	if err != nil {
		return out, err
	}
	if err := s.mask.Decide(list); err != nil {
		return out, err
	}
	for _, d := range list {
		out.Counts[d.Verdict]++
	}
	if apply {
		v, err := s.remask(ctx, src)
		if err != nil {
			return out, err
		}
		out.Version = &v
	}
	return out, nil
}

// decisions finds what verdicts are about.
func (s *Service) decisions(ctx context.Context, src original, verdicts map[string]masking.Verdict) ([]masking.Decision, error) {
	for id, v := range verdicts {
		if !slices.Contains(masking.Verdicts, v) {
			return nil, fault.New(fault.Invalid, "", "decisions", "The decision on %q is %q; it must be yes, no, always or never.", id, string(v))
		}
	}
	if len(verdicts) == 0 {
		return nil, nil
	}
	var list []masking.Decision
	found := map[string]bool{}
	err := s.uncertain(ctx, src, 0, 1.01, func(item ReviewItem) error {
		v, ok := verdicts[item.ID]
		if !ok || found[item.ID] {
			return nil
		}
		if item.Kind == KindProposal && (v == masking.Yes || v == masking.No) {
			return fault.New(fault.Invalid, "", "decisions", "%s stands in many answers, so it is decided for all of them: always or never.", item.ID)
		}
		found[item.ID] = true
		list = append(list, masking.Decision{Record: item.record, Value: pii.Value{Entity: item.Entity, Value: item.Value}, Verdict: v})
		return nil
	})
	if err != nil {
		return nil, err
	}
	for id := range verdicts {
		if !found[id] {
			return nil, fault.New(fault.Invalid, "", "decisions", "There is nothing to decide with the id %q in %s@%d; it may have been decided already.", id, src.version.Dataset, src.version.Number).
				WithHint("cloister dataset review %s --json", src.version.Dataset)
		}
	}
	return list, nil
}

// original is a version with the file that it was made of, read again.
type original struct {
	version store.Version
	rep     Report
	records []ingest.Record
	second  *secondPass
	request ImportRequest
}

// original reads the file of a version again.
func (s *Service) original(ctx context.Context, dataset string, number int) (original, error) {
	v, err := s.version(dataset, number)
	if err != nil {
		return original{}, err
	}
	out := original{version: v}
	if out.rep, err = report(v); err != nil {
		return original{}, err
	}
	if out.rep.Source == nil {
		return original{}, fault.New(fault.Conflict, "no_original", "version", "%s@%d was not made of a file that can be read again (its origin is %q), so there is nothing to review; name a version that was imported.", dataset, v.Number, v.Origin).
			WithHint("cloister dataset show %s", dataset)
	}
	file, err := s.st.File(v.FileID)
	if err != nil {
		return original{}, err
	}
	out.request = out.rep.Source.Request
	out.request.Name = dataset
	if out.records, _, err = s.records(ctx, out.request, file); err != nil {
		return original{}, err
	}
	out.second, err = s.recalled(out.rep.SecondPass)
	return out, err
}

// remask makes a new version of a version's original, by the rules and decisions
// of now.
func (s *Service) remask(ctx context.Context, src original) (store.Version, error) {
	s.making.Lock()
	defer s.making.Unlock()
	v := src.version
	latest, err := s.latest(v.Dataset)
	if err != nil {
		return store.Version{}, err
	}
	return s.makeVersion(ctx, made{
		mask: s.mask,
		name: v.Dataset, parent: latest, origin: "review", fileID: v.FileID, system: v.System,
		records: src.records, cleaned: *src.rep.Clean, second: src.second, source: *src.rep.Source,
	}, Report{Reviewed: true})
}

// uncertain calls each for proposals and uncertain findings.
func (s *Service) uncertain(ctx context.Context, src original, from, to float64, each func(ReviewItem) error) error {
	items, err := s.proposed(src)
	for _, item := range items {
		err = cmp.Or(err, each(item))
	}
	for i := 0; i < len(src.records) && err == nil; i++ {
		items, err = s.doubts(src, src.records[i], from, to)
		for _, item := range items {
			err = cmp.Or(err, each(item))
		}
		err = cmp.Or(err, ctx.Err())
	}
	return err
}

// proposed lists the version's proposals that nobody has decided on yet.
func (s *Service) proposed(src original) ([]ReviewItem, error) {
	all, err := s.Reveal(src.version.Dataset, src.version.Number)
	if err != nil {
		return nil, err
	}
	var items []ReviewItem
	for _, p := range all {
		token, err := s.mask.Token(pii.Value{Entity: p.Entity, Value: p.Value}) // p.Token may be a surrogate
		if err != nil {
			return nil, err
		}
		if s.mask.Decided(token) {
			continue
		}
		items = append(items, ReviewItem{
			ID: strings.Trim(token, "<>"), Kind: KindProposal, Entity: p.Entity, Value: p.Value, Masked: true,
			Token: p.Token, Rows: p.Rows, Questions: p.Questions, Contexts: p.Contexts,
		})
	}
	return items, nil
}

// doubts lists what is uncertain in a record, one item for each value.
func (s *Service) doubts(src original, rec ingest.Record, from, to float64) ([]ReviewItem, error) {
	all := withRejected(turns(rec), judgement{rejected: rec.Rejected})
	if len(all) > 0 && all[0].role == "system" {
		all = all[1:]
	}
	texts := contents(all)
	g, err := s.mask.Guidance(texts)
	if err != nil {
		return nil, err
	}
	decided := map[pii.Value]bool{}
	for _, m := range g.More {
		decided[m.Value] = true
	}
	g.More = append(g.More, src.second.of(rec.Row)...)
	var items []ReviewItem
	var record string
	for i, list := range s.mask.Uncertain(texts, g, from, to) {
		for _, d := range list {
			v := pii.Value{Entity: d.Entity, Value: texts[i][d.Start:d.End]}
			if decided[v] || d.Recogniser == pii.Review {
				continue
			}
			if at := slices.IndexFunc(items, func(x ReviewItem) bool { return x.Entity == v.Entity && x.Value == v.Value }); at >= 0 {
				items[at].Places++
				items[at].Score = max(items[at].Score, d.Score)
				continue
			}
			if record == "" {
				if record, err = s.mask.Fingerprint(texts); err != nil {
					return nil, err
				}
			}
			before, after := around(texts[i], d.Start, d.End)
			items = append(items, ReviewItem{
				ID: s.mask.Mark(record, v), Kind: KindFinding, Entity: v.Entity, Value: v.Value, Masked: d.Masked,
				Row: rec.Row, Role: all[i].role, Score: d.Score, Recogniser: d.Recogniser, Evidence: d.Evidence, Places: 1,
				Before: before, After: after, record: record,
			})
		}
	}
	return items, nil
}

// contextRunes is how much is shown on each side of a place.
const contextRunes = 40

// around returns the text on both sides of text[start:end], in one line each.
func around(text string, start, end int) (before, after string) {
	from := start
	for n := 0; n < contextRunes && from > 0; n++ {
		_, size := utf8.DecodeLastRuneInString(text[:from])
		from -= size
	}
	to := end
	for n := 0; n < contextRunes && to < len(text); n++ {
		_, size := utf8.DecodeRuneInString(text[to:])
		to += size
	}
	line := strings.NewReplacer("\r\n", " ", "\n", " ", "\r", " ", "\t", " ")
	before, after = line.Replace(text[from:start]), line.Replace(text[end:to])
	if from > 0 {
		before = "…" + before
	}
	if to < len(text) {
		after += "…"
	}
	return before, after
}
