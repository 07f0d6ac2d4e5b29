package bundle

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"cloister/appliance/ctxio"
	"cloister/appliance/fault"
	"cloister/llama/gguf"
	"cloister/lora/eval"
	"cloister/lora/peft"
	"cloister/store"
	"cloister/store/vault"
)

const (
	folder       = "adapters" // below the data directory
	stagedPrefix = ".bundle-" // of files that are being received
	filePrefix   = "bundle-"  // of those that are there
	// spare is what an import leaves free on the disk, in bytes.
	spare = 256 << 20
	// maxSuffix is the longest ImportRequest.As in bytes, as for any import.
	maxSuffix = 64
)

// Verify reads a bundle from its first byte to its last and says what is in it
// and how it meets this site. It writes nothing. The error is a *fault.Error
// where the bundle is damaged or is none; one that is whole and not trusted is
// no error.
func (s *Service) Verify(ctx context.Context, r io.Reader) (Contents, error) {
	a, err := s.open(ctxio.Reader(ctx, r), "")
	if err != nil {
		return Contents{}, err
	}
	for {
		if _, _, err := a.Next(); err == io.EOF {
			return a.contents(), nil
		} else if err != nil {
			return Contents{}, unreadable(err)
		}
	}
}

// Import takes a bundle: all of it, or nothing when there is an error, ctx ends
// or the machine stops. What is here already stays as it is.
func (s *Service) Import(ctx context.Context, r io.Reader, req ImportRequest) (Imported, error) {
	if len(req.As) > maxSuffix {
		return Imported{}, fault.New(fault.Invalid, "", "as", "The suffix has %d bytes; at most %d are allowed.", len(req.As), maxSuffix)
	}
	select {
	case s.importing <- struct{}{}:
		defer func() { <-s.importing }()
	case <-ctx.Done():
		return Imported{}, ctx.Err()
	}
	a, err := s.open(ctxio.Reader(ctx, r), req.As)
	if err != nil {
		return Imported{}, err
	}
	if err := a.refusal(req.AllowUntrusted); err != nil {
		return Imported{}, err
	}
	staged := map[string]string{} // path of the file, by the name of the part
	defer func() {
		for _, path := range staged {
			_ = os.Remove(path) // those that were published have gone
		}
	}()
	if err := s.receive(ctx, a, staged); err != nil {
		return Imported{}, unreadable(err)
	}
	return s.publish(ctx, a, staged)
}

// receive reads the rest of a bundle and stages the files of new adapters.
func (s *Service) receive(ctx context.Context, a *arriving, staged map[string]string) error {
	if err := s.room(a); err != nil {
		return err
	}
	for p, content := a.pending, a.content; p != nil; {
		i := slices.IndexFunc(a.adapters, func(m meeting) bool { return m.File == p.Name })
		if m := &a.adapters[i]; m.state == StateNew {
			path := filepath.Join(s.home, folder, stagedPrefix+store.NewID(""))
			staged[p.Name] = path
			if err := stage(path, content); err != nil {
				return err
			}
			if err := s.suits(path, m); err != nil {
				return err
			}
		}
		next, r, err := a.Next()
		if err == io.EOF {
			return ctx.Err()
		}
		if err != nil {
			return err
		}
		p, content = &next, r
	}
	return nil
}

// room sees that the files fit on the disk before the first is received.
func (s *Service) room(a *arriving) error {
	dir := filepath.Join(s.home, folder)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	need := uint64(spare)
	for _, m := range a.adapters {
		if m.state == StateNew {
			need += uint64(m.part.Bytes)
		}
	}
	free, err := s.free(dir)
	if err != nil {
		return err
	}
	if free < need {
		return fault.New(fault.TooLarge, "disk_full", "file", "The bundle's adapters need %d MiB on the disk of the data directory, %d of which must stay free, and %d are free. Nothing was imported.", need>>20, spare>>20, free>>20)
	}
	return nil
}

// stage writes a file durably. Its content is verified when it ends.
func stage(path string, content io.Reader) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, content)
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

// suits sees that a file is an adapter for its base model.
func (s *Service) suits(path string, m *meeting) error {
	base, err := gguf.Open(s.models.Path(m.base.Path))
	if err != nil {
		return fmt.Errorf("the base model %q: %w", m.base.Name, err)
	}
	defer base.Close()
	if _, err := peft.Open(path, base); err != nil {
		text := strings.ReplaceAll(err.Error(), path, m.File)
		return fault.New(fault.Invalid, "invalid_adapter", "file", "The bundle is whole, but an adapter in it is of no use on %q, and nothing was imported: %s.", m.base.Name, text).Wrap(err)
	}
	return nil
}

// publish puts the files where they belong and then writes all records in one
// transaction: before it, nobody knows of them.
func (s *Service) publish(ctx context.Context, a *arriving, staged map[string]string) (Imported, error) {
	arrival, err := s.arrival(a)
	if err != nil {
		return Imported{}, err
	}
	placed := map[string]string{} // path below the data directory, by the name of the adapter
	undo := func(err error) (Imported, error) {
		for name, path := range placed {
			// A transaction that failed may have been written after all.
			if _, gone := s.st.Adapter(name); errors.Is(gone, store.ErrNotFound) {
				_ = os.Remove(filepath.Join(s.home, path)) // or the next start does
			}
		}
		return Imported{}, err
	}
	for _, x := range a.adapters {
		if x.state != StateNew {
			continue
		}
		path := filePath(x.name, x.SHA256)
		if err := os.Rename(staged[x.File], filepath.Join(s.home, path)); err != nil {
			return undo(err)
		}
		placed[x.name] = path
	}
	if len(placed) > 0 {
		if err := vault.SyncDir(filepath.Join(s.home, folder)); err != nil {
			return undo(err)
		}
	}
	if err := ctx.Err(); err != nil {
		return undo(err)
	}
	if err := s.st.PutArrival(arrival); err != nil {
		return undo(err)
	}
	return Imported{Contents: a.contents(), Added: len(arrival.Adapters), AddedEvaluations: len(arrival.Evaluations)}, nil
}

// filePath is where an adapter's file lies, below the data directory. No two
// adapters share one, as the one that is removed takes its file along.
func filePath(name, checksum string) string {
	sum := sha256.Sum256([]byte(name + "\x00" + checksum))
	return filepath.Join(folder, filePrefix+hex.EncodeToString(sum[:12])+".gguf")
}

// arrival is what an import writes.
func (s *Service) arrival(a *arriving) (store.Arrival, error) {
	var out store.Arrival
	for i := range a.adapters {
		x := &a.adapters[i]
		if x.state == StateNew {
			out.Adapters = append(out.Adapters, store.Adapter{
				Name: x.name, Base: x.base.Name, Path: filePath(x.name, x.SHA256), SHA256: x.SHA256,
				Step: x.Step, Checkpoint: x.Checkpoint, Metrics: x.Metrics, CreatedAt: x.CreatedAt,
			})
		}
		added, err := s.newEvaluations(a, x)
		if err != nil {
			return out, err
		}
		out.Evaluations = append(out.Evaluations, added...)
		if x.state != StateNew && len(added) == 0 {
			continue
		}
		origin, err := s.origin(a, x, added)
		if err != nil {
			return out, err
		}
		out.Origins = append(out.Origins, origin)
	}
	return out, nil
}

// origin is the record of where an adapter comes from: of a new one all that is
// known, of one that is here that it was evaluated elsewhere as well.
func (s *Service) origin(a *arriving, x *meeting, added []store.Evaluation) (store.Origin, error) {
	origin, err := s.st.Origin(x.name)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return origin, err
	}
	m := a.Manifest()
	if x.state == StateNew || err != nil {
		origin = store.Origin{
			Adapter: x.name, Site: m.Site.Name, Key: m.Site.Key.String(), Trusted: a.trustedAs != "",
			Bundle: a.Sum(), ExportedAt: m.CreatedAt, ImportedAt: time.Now(),
		}
	}
	if x.state == StateNew {
		origin.System = x.System
		if origin.Lineage, err = json.Marshal(x.Lineage); err != nil {
			return origin, err
		}
		if origin.Releases, err = json.Marshal(releasesOf(a.releases, x.Name)); err != nil {
			return origin, err
		}
	}
	for _, e := range added {
		if origin.Evaluations == nil {
			origin.Evaluations = map[string]string{}
		}
		origin.Evaluations[e.ID] = m.Site.Name
	}
	return origin, nil
}

// releasesOf are the releases of one model.
func releasesOf(all []Release, model string) []Release {
	out := []Release{}
	for _, r := range all {
		r.History = slices.DeleteFunc(slices.Clone(r.History), func(d Deployed) bool { return d.Model != model })
		if len(r.History) > 0 {
			out = append(out, r)
		}
	}
	return out
}

// newEvaluations are those of an adapter that are not here. Of a site that is
// not trusted there are none: its figures would pass this site's gate.
func (s *Service) newEvaluations(a *arriving, x *meeting) ([]store.Evaluation, error) {
	if a.trustedAs == "" {
		return nil, nil
	}
	var out []store.Evaluation
	for _, e := range a.evaluations {
		if e.Model != x.Name {
			continue
		}
		id := e.ID
		if x.name != x.Name { // the same evaluation may be here of the other name
			sum := sha256.Sum256([]byte(e.ID + "\x00" + x.name))
			id = "eval-" + hex.EncodeToString(sum[:12])
		}
		_, err := s.st.Evaluation(id)
		if err == nil {
			continue
		}
		if !errors.Is(err, store.ErrNotFound) {
			return nil, err
		}
		record := store.Evaluation{ID: id, Model: x.name, Split: e.Split, Examples: e.Examples, Report: e.Report, CreatedAt: e.CreatedAt}
		if record.Baseline, err = s.known(a, e.Baseline); err != nil {
			return nil, err
		}
		if x.name != x.Name {
			if record.Report, err = renamed(e.Report, x.name); err != nil {
				return nil, err
			}
		}
		out = append(out, record)
	}
	return out, nil
}

// known is the name that a baseline has here, or empty: the report has its
// figures in any case.
func (s *Service) known(a *arriving, baseline string) (string, error) {
	if baseline == "" {
		return "", nil
	}
	for _, b := range a.bases {
		if b.Name == baseline {
			return b.Here, nil
		}
	}
	for _, x := range a.adapters {
		if x.Name == baseline {
			return x.name, nil
		}
	}
	_, err := s.st.Adapter(baseline)
	if errors.Is(err, store.ErrNotFound) {
		return "", nil
	}
	return baseline, err
}

// renamed is a report of a model that has another name here.
func renamed(raw json.RawMessage, name string) (json.RawMessage, error) {
	var r eval.Report
	if err := json.Unmarshal(raw, &r); err != nil {
		return nil, err
	}
	r.Model = name
	return json.Marshal(r)
}

// sweep deletes what a crash left: files that were being received, and those
// whose records were not written.
func (s *Service) sweep() error {
	list, err := os.ReadDir(filepath.Join(s.home, folder))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	known := map[string]bool{}
	adapters, err := s.st.Adapters()
	if err != nil {
		return err
	}
	for _, a := range adapters {
		known[filepath.Clean(a.Path)] = true
	}
	for _, e := range list {
		left := strings.HasPrefix(e.Name(), stagedPrefix) || strings.HasPrefix(e.Name(), filePrefix) && !known[filepath.Join(folder, e.Name())]
		if !left || !e.Type().IsRegular() {
			continue
		}
		if err := os.Remove(filepath.Join(s.home, folder, e.Name())); err != nil {
			return err
		}
	}
	return nil
}
