package datasets

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"cloister/appliance/fault"
	"cloister/store"
	"cloister/store/clean"
)

// correction is a judgement with a corrected answer, and what was asked.
type correction struct {
	feedback store.Feedback
	messages []store.Message // the conversation up to the answer
	group    string          // of the last question
}

// place is where a question stands in a dataset.
type place struct {
	group string
	split store.Split
}

// ApplyCorrections makes a new version of a dataset with the corrections that
// no dataset has taken up yet, and returns it with their number. A correction
// of a question that the newest version has (but for form, see clean.Group)
// replaces its answer; another one becomes a new training example. A question
// that stands in the validation or test split stays there: what is measured on
// is not learnt. If one question was corrected twice, the newer one counts.
// Earlier assistant turns of a conversation have weight 0, for nobody said
// that they were right.
// The version and the marks on the judgements are one transaction.
func (s *Service) ApplyCorrections(ctx context.Context, name string) (store.Version, int, error) {
	s.making.Lock()
	defer s.making.Unlock()
	latest, err := s.version(name, 0)
	if err != nil {
		return store.Version{}, 0, err
	}
	pending, err := s.pending()
	if err != nil {
		return store.Version{}, 0, err
	}
	if len(pending) == 0 {
		return store.Version{}, 0, fault.New(fault.Conflict, "no_corrections", "", "There is no correction that waits to be applied.").WithHint("cloister feedback list")
	}
	b := newBuilder(s.mask)
	b.system = latest.System
	rep, err := s.merge(ctx, b, latest, newest(pending))
	if err != nil {
		return store.Version{}, 0, err
	}
	made := store.NewVersion{Dataset: name, Parent: latest.Number, Origin: "feedback", FileID: latest.FileID}
	for _, c := range pending {
		made.Applied = append(made.Applied, c.feedback.ID)
	}
	v, err := s.create(ctx, b, made, Report{Feedback: &rep})
	return v, len(pending), err
}

// pending returns the corrections that wait, oldest first. One whose answer is
// no longer kept cannot be used, as nobody knows what was asked.
func (s *Service) pending() ([]correction, error) {
	all, err := s.st.FeedbackSince(time.Time{})
	if err != nil {
		return nil, err
	}
	var out []correction
	for _, f := range all {
		if f.Correction == "" || f.AppliedTo != "" {
			continue
		}
		answer, err := s.st.Answer(f.AnswerID)
		if errors.Is(err, store.ErrNotFound) {
			continue
		}
		if err != nil {
			return nil, err
		}
		out = append(out, correction{feedback: f, messages: answer.Messages, group: clean.Group(lastQuestion(answer.Messages))})
	}
	return out, nil
}

// newest keeps the last correction of each question, in order. Corrections in
// longer conversations are all kept: their questions alone say too little.
func newest(pending []correction) []correction {
	last := map[string]int{}
	for i, c := range pending {
		if single(c.messages) {
			last[c.group] = i
		}
	}
	var out []correction
	for i, c := range pending {
		if !single(c.messages) || last[c.group] == i {
			out = append(out, c)
		}
	}
	return out
}

// merge hands the builder the examples of a version with the corrections in
// them, then the new ones.
func (s *Service) merge(ctx context.Context, b *builder, v store.Version, corrections []correction) (FeedbackReport, error) {
	var rep FeedbackReport
	byGroup := map[string]*correction{}
	for i, c := range corrections {
		if single(c.messages) {
			byGroup[c.group] = &corrections[i]
		}
	}
	places := map[string]place{}
	replaced := map[string]bool{} // by feedback id
	for ex, err := range s.st.Examples(v.Dataset, v.Number, "") {
		if err = cmp.Or(err, ctx.Err()); err != nil {
			return rep, err
		}
		key := clean.Group(lastQuestion(ex.Messages))
		places[key] = place{ex.Group, ex.Split}
		messages, judged := ex.Messages, ex.Judgement
		if c := byGroup[key]; c != nil && single(messages) {
			messages = withAnswer(messages, c.feedback.Correction)
			replaced[c.feedback.ID] = true
			rep.Replaced++
			if ex.Split != store.Train {
				rep.HeldOut++
			}
		}
		if err := b.addStored(ex.Row, ex.Group, ex.Split, messages, judged); err != nil {
			return rep, err
		}
	}
	for _, c := range corrections {
		if replaced[c.feedback.ID] {
			continue
		}
		at, known := places[c.group]
		if !known {
			at = place{c.group, store.Train}
		}
		if at.split != store.Train {
			rep.HeldOut++
		}
		rep.Added++
		if err := b.addStored(0, at.group, at.split, withAnswer(c.messages, c.feedback.Correction), store.Judgement{}); err != nil {
			return rep, err
		}
	}
	return rep, nil
}

// lastQuestion is the last user turn.
func lastQuestion(messages []store.Message) string {
	for _, m := range slices.Backward(messages) {
		if m.Role == "user" {
			return m.Content
		}
	}
	return ""
}

// single reports whether a conversation has one question only.
func single(messages []store.Message) bool {
	n := 0
	for _, m := range messages {
		if m.Role == "user" {
			n++
		}
	}
	return n == 1
}

// withAnswer returns the conversation up to the last question with this answer
// to it. Earlier answers get weight 0.
func withAnswer(messages []store.Message, answer string) []store.Message {
	end := len(messages)
	for end > 0 && messages[end-1].Role != "user" {
		end--
	}
	out := slices.Clone(messages[:end])
	for i := range out {
		if out[i].Role == "assistant" {
			out[i].Weight = new(int)
		}
	}
	return append(out, store.Message{Role: "assistant", Content: answer})
}
