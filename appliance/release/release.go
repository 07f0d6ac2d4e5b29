package release

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"cloister/appliance/fault"
	"cloister/appliance/models"
	"cloister/lora/eval"
	"cloister/store"
)

// gateKey is the setting that holds the gate's bounds, an eval.GateConfig in JSON.
const gateKey = "release/gate"

// Resolver leads a name to a model; *models.Registry is one.
type Resolver interface {
	Resolve(name string) (models.Resolved, error)
}

var _ Resolver = (*models.Registry)(nil)

// Service deploys and rolls back.
type Service struct {
	st     *store.Store
	models Resolver
}

// New returns a Service.
func New(st *store.Store, m Resolver) *Service { return &Service{st: st, models: m} }

// Gate returns the bounds that a release must keep.
func (s *Service) Gate() (eval.GateConfig, error) {
	c := eval.DefaultGate()
	if err := s.st.Setting(gateKey, &c); err != nil && !errors.Is(err, store.ErrNotFound) {
		return eval.GateConfig{}, err
	}
	return c, nil
}

// SetGate changes the bounds for later deployments.
func (s *Service) SetGate(c eval.GateConfig) error {
	if err := c.Validate(); err != nil {
		return fault.New(fault.Invalid, "", "gate", "The gate's %s.", err)
	}
	return s.st.PutSetting(gateKey, c)
}

var goodAlias = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`)

// Deploy makes alias lead to a model from the next request on. A tuned model
// needs an evaluation on held-out examples, with a baseline, whose newest one
// passes the gate;
// otherwise the error is a *fault.Error of kind Forbidden with code
// "gate_refused" and what to type. force deploys it all the same, and the
// release records that and what the gate said. A base model was not tuned, so
// there is nothing to compare and the gate lets it pass. by is who asks.
func (s *Service) Deploy(_ context.Context, model, alias string, force bool, by string) (store.Release, error) {
	if err := s.checkAlias(alias); err != nil {
		return store.Release{}, err
	}
	m, err := s.models.Resolve(model)
	if err != nil {
		return store.Release{}, err
	}
	rel := store.Release{Model: m.Name(), By: by}
	if m.Adapter == nil {
		rel.Reason = "A base model; nothing was tuned."
		return s.st.Deploy(alias, rel)
	}
	decision, evaluation, err := s.decide(m.Name())
	if err != nil {
		return store.Release{}, err
	}
	rel.EvaluationID = evaluation
	rel.Reason = strings.Join(slices.Concat(decision.Reasons, decision.Warnings), " ")
	if !decision.OK {
		if !force {
			return store.Release{}, refusal(m.Name(), alias, evaluation, decision)
		}
		rel.Forced = true
	}
	return s.st.Deploy(alias, rel)
}

// Decide says what the gate holds of a model now, by its newest evaluation,
// whose id is returned ("" if there is none).
func (s *Service) Decide(model string) (eval.Decision, string, error) {
	m, err := s.models.Resolve(model)
	if err != nil {
		return eval.Decision{}, "", err
	}
	return s.decide(m.Name())
}

func (s *Service) decide(model string) (eval.Decision, string, error) {
	all, err := s.st.Evaluations(model)
	if err != nil {
		return eval.Decision{}, "", err
	}
	if len(all) == 0 {
		return eval.Decision{Reasons: []string{"The model has not been evaluated."}}, "", nil
	}
	held := slices.IndexFunc(all, heldOut)
	if held < 0 {
		return eval.Decision{Reasons: []string{"The model has been evaluated only on examples that its training saw."}}, "", nil
	}
	newest := all[held]
	var rep eval.Report
	if err := json.Unmarshal(newest.Report, &rep); err != nil {
		return eval.Decision{}, "", fmt.Errorf("the report of %s: %w", newest.ID, err)
	}
	if err := thorough(all, &rep); err != nil {
		return eval.Decision{}, "", err
	}
	gate, err := s.Gate()
	if err != nil {
		return eval.Decision{}, "", err
	}
	decision := eval.Gate(rep, gate)
	origin, err := s.st.Origin(model)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return eval.Decision{}, "", err
	}
	if by := origin.Evaluations[newest.ID]; by != "" {
		decision.Warnings = append(decision.Warnings, fmt.Sprintf("The evaluation was made at the site %q, not here.", by))
	}
	return decision, newest.ID, nil
}

// thorough puts the answers of the newest thorough leak test into a report that
// has a short one: a model does not change, so what it once gave away counts
// until a test as thorough finds nothing.
func thorough(all []store.Evaluation, rep *eval.Report) error {
	for _, e := range all {
		if rep.Leak == nil || rep.Leak.Thorough {
			break
		}
		var other eval.Report
		if err := json.Unmarshal(e.Report, &other); err != nil {
			return fmt.Errorf("the report of %s: %w", e.ID, err)
		}
		if l := other.Leak; l != nil && l.Thorough && l.Answers != nil {
			rep.Leak.Answers = l.Answers
			break
		}
	}
	return nil
}

// heldOut reports whether an evaluation can show what was learnt: the training
// split shows what was memorised, and the validation split chose the epoch.
func heldOut(e store.Evaluation) bool { return e.Split != store.Train && e.Split != store.Valid }

// refusal says why a model may not be deployed and what to do.
func refusal(model, alias, evaluation string, d eval.Decision) error {
	e := fault.New(fault.Forbidden, "gate_refused", "model", "The gate refuses %s: %s", model, strings.Join(d.Reasons, " "))
	if evaluation == "" {
		return e.WithHint("cloister eval --model %s --data DATASET", model)
	}
	return e.WithHint("cloister deploy %s --as %s --force", model, alias)
}

// checkAlias refuses names that cannot be told from those of models.
func (s *Service) checkAlias(alias string) error {
	if !goodAlias.MatchString(alias) {
		return fault.New(fault.Invalid, "", "alias", "%q is not a good alias: use 1 to 64 letters, digits, points, dashes and underscores, a letter or digit first.", alias)
	}
	_, err := s.st.BaseModel(alias)
	if err == nil {
		return fault.New(fault.Invalid, "", "alias", "%q is the name of a base model; choose another alias.", alias)
	}
	if !errors.Is(err, store.ErrNotFound) {
		return err
	}
	return nil
}

// Rollback makes the release that served before the current one serve again.
// Releases that were rolled back from are passed over.
func (s *Service) Rollback(_ context.Context, alias, by string) (store.Release, error) {
	st, err := s.Alias(alias)
	if err != nil {
		return store.Release{}, err
	}
	withdrawn, err := s.withdrawn(alias)
	if err != nil {
		return store.Release{}, err
	}
	for _, rel := range st.History {
		if rel.Number >= st.Current.Number || slices.Contains(withdrawn, rel.Number) {
			continue
		}
		if _, err := s.models.Resolve(rel.Model); err != nil {
			return store.Release{}, fmt.Errorf("release %d of %s cannot serve again: %w", rel.Number, alias, err)
		}
		if _, err := s.st.SetCurrent(alias, rel.Number); err != nil {
			return store.Release{}, err
		}
		return rel, s.st.PutSetting(withdrawnKey(alias), append(withdrawn, st.Current.Number))
	}
	return store.Release{}, fault.New(fault.Conflict, "no_earlier_release", "alias", "%s has no earlier release to go back to.", alias).WithHint("cloister status")
}

func withdrawnKey(alias string) string { return "release/withdrawn/" + alias }

// withdrawn lists the releases of an alias that were rolled back from.
func (s *Service) withdrawn(alias string) ([]int, error) {
	var out []int
	err := s.st.Setting(withdrawnKey(alias), &out)
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil
	}
	return out, err
}

// Alias describes one alias.
func (s *Service) Alias(alias string) (Status, error) {
	a, err := s.st.Alias(alias)
	if errors.Is(err, store.ErrNotFound) {
		return Status{}, fault.New(fault.NotFound, "alias_not_found", "alias", "There is no alias %q.", alias).WithHint("cloister status").Wrap(err)
	}
	if err != nil {
		return Status{}, err
	}
	history, err := s.st.Releases(alias)
	if err != nil {
		return Status{}, err
	}
	st := Status{Alias: a, History: history}
	for _, rel := range history {
		if rel.Number == a.Current {
			st.Current = rel
		}
	}
	return st, nil
}

// Status describes all aliases, by name.
func (s *Service) Status() ([]Status, error) {
	aliases, err := s.st.Aliases()
	if err != nil {
		return nil, err
	}
	out := make([]Status, 0, len(aliases))
	for _, a := range aliases {
		st, err := s.Alias(a.Name)
		if err != nil {
			return nil, err
		}
		out = append(out, st)
	}
	return out, nil
}
