package datasets

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"regexp"
	"strings"
	"sync"

	"cloister/appliance/fault"
	"cloister/appliance/masking"
	"cloister/store"
	"cloister/store/clean"
	"cloister/store/ingest"
	"cloister/store/pii/policy"
)

// Service makes dataset versions.
type Service struct {
	st   *store.Store
	mask *masking.Service
	// making is held while a version is made, so that its parent is the newest.
	making sync.Mutex
	// SecondPass opens the models that imports with a second pass ask for; nil
	// refuses such imports. It is set before the Service is used.
	SecondPass OpenReader
}

// New returns a Service.
func New(st *store.Store, mask *masking.Service) *Service {
	return &Service{st: st, mask: mask}
}

var goodName = regexp.MustCompile(`^[\p{L}\p{N}][\p{L}\p{N}._-]{0,63}$`)

// Import seals the original, then reads, cleans, masks and splits it, and
// stores the result as a new version. It gives a whole version or none; the
// sealed original of a failed import is removed. What is wrong with the file
// is a *fault.Error with the file, row and column.
func (s *Service) Import(ctx context.Context, req ImportRequest, r io.Reader) (store.Version, error) {
	return s.ImportWatched(ctx, req, r, nil)
}

// ImportWatched is Import with a second pass, if the request asks for it, whose
// progress is reported: the number of examples that were read and that there
// are, one call at a time. progress may be nil.
func (s *Service) ImportWatched(ctx context.Context, req ImportRequest, r io.Reader, progress func(done, total int)) (store.Version, error) {
	if !goodName.MatchString(req.Name) {
		return store.Version{}, fault.New(fault.Invalid, "", "name", "%q is not a good name for a dataset: use 1 to 64 letters, digits, points, dashes and underscores, a letter or digit first.", req.Name)
	}
	if len(req.Policy) > 0 {
		if _, err := policy.Parse("policy", req.Policy, nil); err != nil {
			return store.Version{}, badPolicy(err)
		}
	}
	name := filepath.Base(req.FileName)
	file, err := s.st.PutFile(ctx, store.File{Name: name, Purpose: "import"}, r)
	if errors.Is(err, store.ErrTooLarge) {
		return store.Version{}, fault.New(fault.TooLarge, "", "file", "%s is larger than %d MiB; cut it into parts and import them with --append.", name, store.MaxFileBytes>>20).Wrap(err)
	}
	if err != nil {
		return store.Version{}, err
	}
	version, err := s.importFile(ctx, req, file, progress)
	if err != nil {
		return store.Version{}, errors.Join(err, s.st.DeleteFile(file.ID))
	}
	return version, nil
}

func (s *Service) importFile(ctx context.Context, req ImportRequest, file store.File, progress func(done, total int)) (store.Version, error) {
	records, cleaned, err := s.records(ctx, req, file)
	if err != nil {
		return store.Version{}, err
	}
	second, err := s.readAgain(ctx, req, records, progress)
	if err != nil {
		return store.Version{}, err
	}
	mask, settle, err := s.maskOf(req)
	if err != nil {
		return store.Version{}, err
	}
	s.making.Lock()
	defer s.making.Unlock()
	parent, err := s.latest(req.Name)
	if err != nil {
		return store.Version{}, err
	}
	in := made{mask: mask, settle: settle, name: req.Name, parent: parent, origin: "import", fileID: file.ID, system: req.System, records: records, cleaned: cleaned, second: second, source: source(req)}
	if req.Append {
		in.source.Carried = parent
	}
	return s.makeVersion(ctx, in, Report{})
}

// records reads and cleans the sealed original.
func (s *Service) records(ctx context.Context, req ImportRequest, file store.File) ([]ingest.Record, clean.Report, error) {
	records, err := s.read(ctx, req, file.Name, file.ID)
	if err != nil {
		return nil, clean.Report{}, err
	}
	records, cleaned, err := clean.CleanContext(ctx, records, clean.Options{KeepHTML: req.KeepHTML})
	if err == nil && len(records) == 0 {
		err = fault.New(fault.Invalid, "no_examples", "", "%s has no row to learn from: of %d rows, all were dropped (%s).", file.Name, cleaned.Rows, dropped(cleaned))
	}
	return records, cleaned, err
}

// source is what is kept of a request, so that the file can be read again.
func source(req ImportRequest) Source {
	req.Name, req.System, req.Allow, req.Policy, req.SecondPass, req.Model = "", "", nil, nil, false, ""
	return Source{Request: req}
}

// made is a version that is being made of a file.
type made struct {
	mask    *masking.Service
	settle  func() error // before the version is stored; may be nil
	name    string
	parent  int
	origin  string
	fileID  string
	system  string
	records []ingest.Record
	cleaned clean.Report
	second  *secondPass
	source  Source
}

// makeVersion masks the records and stores the version. The caller holds making.
func (s *Service) makeVersion(ctx context.Context, in made, rep Report) (store.Version, error) {
	b := newBuilder(in.mask)
	b.second = in.second
	if err := b.setSystem(in.system); err != nil {
		return store.Version{}, err
	}
	for _, rec := range in.records {
		if err := ctx.Err(); err != nil {
			return store.Version{}, err
		}
		if err := b.add(rec.Row, rec.Group, "", turns(rec), judgement{rec.Rejected, rec.Desirable}); err != nil {
			return store.Version{}, err
		}
	}
	if in.source.Carried > 0 {
		b.unique = true
		if err := s.carry(ctx, b, in.name, in.source.Carried); err != nil {
			return store.Version{}, err
		}
	}
	if err := b.oneKind(); err != nil {
		return store.Version{}, err
	}
	if in.settle != nil {
		if err := in.settle(); err != nil {
			return store.Version{}, err
		}
	}
	rep.Clean, rep.Source, rep.SecondPass = &in.cleaned, &in.source, in.second.report()
	return s.create(ctx, b, store.NewVersion{Dataset: in.name, Parent: in.parent, Origin: in.origin, FileID: in.fileID}, rep)
}

// maskOf returns the masker with the policy and the allowed values of a request,
// and what makes them those of the project: a file that cannot be imported
// changes nothing.
func (s *Service) maskOf(req ImportRequest) (mask *masking.Service, settle func() error, err error) {
	var p *policy.Policy
	if len(req.Policy) > 0 {
		if p, err = policy.Parse("policy", req.Policy, nil); err != nil {
			return nil, nil, badPolicy(err)
		}
	}
	mask, err = s.mask.With(p, req.Allow)
	return mask, func() error {
		if p != nil {
			if err := s.mask.SetPolicy(p); err != nil {
				return err
			}
		}
		return s.mask.Allow(req.Allow)
	}, err
}

func badPolicy(err error) *fault.Error {
	return fault.New(fault.Invalid, "invalid_policy", "policy", "The masking policy is wrong: %v.", err).Wrap(err)
}

// read reads the sealed original.
func (s *Service) read(ctx context.Context, req ImportRequest, name, fileID string) ([]ingest.Record, error) {
	original, err := s.st.OpenFile(fileID)
	if err != nil {
		return nil, err
	}
	defer original.Close()
	var records []ingest.Record
	err = ingest.Read(original, name, ingest.Options{
		Format: req.Format, QuestionColumn: req.QuestionColumn, AnswerColumn: req.AnswerColumn,
		SystemColumn: req.SystemColumn, Encoding: req.Encoding, Sheet: req.Sheet,
	}, func(rec ingest.Record) error {
		if len(records) == maxExamples {
			return tooMany(name, "file")
		}
		records = append(records, rec)
		return ctx.Err()
	})
	if bad, ok := errors.AsType[*ingest.Error](err); ok {
		return nil, fault.New(fault.Invalid, "invalid_file_format", "file", "%s.", strings.TrimSuffix(bad.Error(), ".")).Wrap(bad)
	}
	return records, err
}

// maxExamples bounds a version, and what a file may hold: while a version is
// made its examples are in memory, some 3 kB each with their texts. It is a
// variable for the tests.
var maxExamples = 1_000_000

// tooMany is the error about a file with more than maxExamples.
func tooMany(file, param string) error {
	return fault.New(fault.TooLarge, "", param, "%s holds more than %d examples, which is more than one dataset takes; use a part of it.", file, maxExamples)
}

// carry adds the examples of an older version after the file's own; one that
// the file has as well is added once.
func (s *Service) carry(ctx context.Context, b *builder, dataset string, version int) error {
	for ex, err := range s.st.Examples(dataset, version, "") {
		if err != nil {
			return err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		if len(b.examples) == maxExamples {
			return tooMany(fmt.Sprintf("%s@%d with the new file", dataset, version), "file")
		}
		// Row 0: the number belongs to another file.
		if err := b.addStored(0, ex.Group, ex.Split, ex.Messages, ex.Judgement); err != nil {
			return err
		}
	}
	return nil
}

// latest is the number of a dataset's newest version, 0 if there is none.
func (s *Service) latest(dataset string) (int, error) {
	d, err := s.st.Dataset(dataset)
	if errors.Is(err, store.ErrNotFound) {
		return 0, nil
	}
	return d.Latest, err
}

// create stores what the builder gathered.
func (s *Service) create(ctx context.Context, b *builder, v store.NewVersion, rep Report) (store.Version, error) {
	if err := b.oneKind(); err != nil {
		return store.Version{}, err
	}
	rep.Mask = b.report()
	used, err := b.mask.Record()
	if err != nil {
		return store.Version{}, err
	}
	rep.Mask.Used = &used
	rep.Warnings = append(rep.Warnings, b.warnings()...)
	raw, err := json.Marshal(rep)
	if err != nil {
		return store.Version{}, err
	}
	v.System, v.Report, v.Examples = b.system, raw, b.examples
	return s.st.CreateVersion(ctx, v)
}

// Report reads the report of a version; number 0 means the newest.
func (s *Service) Report(dataset string, number int) (Report, error) {
	v, err := s.version(dataset, number)
	if err != nil {
		return Report{}, err
	}
	return report(v)
}

func report(v store.Version) (Report, error) {
	var rep Report
	if len(v.Report) > 0 {
		if err := json.Unmarshal(v.Report, &rep); err != nil {
			return Report{}, fmt.Errorf("the report of %s@%d: %w", v.Dataset, v.Number, err)
		}
	}
	return rep, nil
}

// Reveal returns the proposals of a version's report with their values, out of
// the vault, and contexts, so that somebody who may see them can decide what to allow.
func (s *Service) Reveal(dataset string, number int) ([]Proposal, error) {
	v, err := s.version(dataset, number)
	if err != nil {
		return nil, err
	}
	rep, err := report(v)
	if err != nil || len(rep.Mask.Proposals) == 0 {
		return nil, err
	}
	all := rep.Mask.Proposals
	for i := range all {
		if all[i].Value, err = s.mask.Reveal(all[i].Token); err != nil {
			return nil, fmt.Errorf("%s: %w", all[i].Token, err)
		}
	}
	return all, s.contexts(v, all)
}

// maxContexts is how many answers are shown around a proposal.
const maxContexts = 3

// contexts fills in the words around the proposals.
func (s *Service) contexts(v store.Version, all []Proposal) error {
	for ex, err := range s.st.Examples(v.Dataset, v.Number, "") {
		if err != nil {
			return err
		}
		full := true
		for i := range all {
			p := &all[i]
			for _, m := range ex.Messages {
				if at := strings.Index(m.Content, p.Token); m.Role == "assistant" && at >= 0 && len(p.Contexts) < maxContexts {
					before, after := around(m.Content, at, at+len(p.Token))
					p.Contexts = append(p.Contexts, before+p.Token+after)
					break
				}
			}
			full = full && len(p.Contexts) == maxContexts
		}
		if full {
			return nil
		}
	}
	return nil
}

// Remove deletes a dataset with all its versions, and what they were masked with
// where no other dataset was: policies and allow lists hold names. The error
// wraps store.ErrReferenced while a job or an evaluation names the dataset.
func (s *Service) Remove(name string) error {
	s.making.Lock()
	defer s.making.Unlock()
	unused, err := s.usedBy(name)
	if err != nil {
		return err
	}
	if err := s.st.DeleteDataset(name); err != nil {
		return err
	}
	all, err := s.st.Datasets()
	if err != nil {
		return err
	}
	for _, d := range all {
		used, err := s.usedBy(d.Name)
		if err != nil {
			return err
		}
		for hash := range used {
			delete(unused, hash)
		}
	}
	for hash := range unused {
		if err := s.mask.Forget(hash); err != nil {
			return err
		}
	}
	return nil
}

// usedBy returns the hashes of what the versions of a dataset were masked with.
func (s *Service) usedBy(name string) (map[string]bool, error) {
	versions, err := s.st.Versions(name)
	if err != nil {
		return nil, err
	}
	hashes := map[string]bool{}
	for _, v := range versions {
		rep, err := report(v)
		if err != nil {
			return nil, err
		}
		if rep.Mask.Used != nil {
			hashes[rep.Mask.Used.Hash] = true
		}
	}
	return hashes, nil
}

// Used returns what a version was masked with: names and numbers in the clear.
func (s *Service) Used(dataset string, number int) (masking.Used, error) {
	rep, err := s.Report(dataset, number)
	if err != nil {
		return masking.Used{}, err
	}
	if rep.Mask.Used == nil {
		return masking.Used{}, fault.New(fault.NotFound, "", "dataset", "This version was made by an older Cloister, which did not keep what it was masked with.")
	}
	return s.mask.Used(rep.Mask.Used.Hash)
}

func (s *Service) version(dataset string, number int) (store.Version, error) {
	v, err := s.st.Version(dataset, number)
	if errors.Is(err, store.ErrNotFound) {
		return store.Version{}, NotFound(dataset, number).Wrap(err)
	}
	return v, err
}

// NotFound is the error about a dataset version that does not exist.
func NotFound(dataset string, number int) *fault.Error {
	if number > 0 {
		return fault.New(fault.NotFound, "", "dataset", "There is no version %d of a dataset %q.", number, dataset).WithHint("cloister dataset show %s", dataset)
	}
	return fault.New(fault.NotFound, "", "dataset", "There is no dataset %q.", dataset).WithHint("cloister dataset list")
}

// turns gives a record's messages as the builder wants them.
func turns(rec ingest.Record) []turn {
	var out []turn
	for _, m := range rec.Turns() {
		out = append(out, turn{m.Role, m.Content, m.Weight})
	}
	return out
}

// dropped says why rows were dropped, in words.
func dropped(rep clean.Report) string {
	parts := []string{}
	for _, reason := range []string{clean.Empty, clean.EmptyQuestion, clean.EmptyAnswer, clean.EqualAnswers, clean.Duplicate, clean.NearDuplicate} {
		if n := rep.Drops[reason]; n > 0 {
			parts = append(parts, fmt.Sprintf("%s %d", reason, n))
		}
	}
	return strings.Join(parts, ", ")
}
