package train

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// keepBest takes the adapter of this step as the best so far.
func (j *job) keepBest() error {
	stat := j.state.stat()
	j.state.Best, j.state.Since = &stat, 0
	if j.best == nil {
		j.best = like(j.m.Params())
	}
	return save(j.best, j.m.Params())
}

// keep writes an adapter into the work folder, and notes it as a checkpoint.
func (j *job) keep(stat EpochStat, values []matrix) error {
	name := fmt.Sprintf("%s%d.gguf", adapterPrefix, stat.Step)
	a, err := newAdapter(j.p.architecture, j.h.fileAlpha(), j.m.Params(), values)
	if err != nil {
		return err
	}
	if err := a.WriteFile(filepath.Join(j.req.WorkDir, name)); err != nil {
		return fmt.Errorf("cannot write the adapter of step %d: %w", stat.Step, err)
	}
	j.state.Kept = append(slices.Clone(j.state.Kept), Checkpoint{Step: stat.Step, Epoch: stat.Epoch, Path: name, TrainLoss: stat.TrainLoss, ValidLoss: stat.ValidLoss})
	return nil
}

// writeBest puts the best adapter among the checkpoints if it is not there.
func (j *job) writeBest() error {
	best := j.state.Best
	if slices.ContainsFunc(j.state.Kept, func(k Checkpoint) bool { return k.Step == best.Step }) {
		return nil
	}
	return j.keep(*best, hostMatrices(j.best))
}

// keepEpoch writes the epoch's adapter and a checkpoint, and removes adapters
// of older epochs.
func (j *job) keepEpoch(stat EpochStat) error {
	if err := j.keep(stat, dataOf(j.m.Params())); err != nil {
		return err
	}
	j.state.Kept = j.state.Kept[max(0, len(j.state.Kept)-j.h.KeepCheckpoints):]
	if err := j.save(); err != nil {
		return err
	}
	files, err := os.ReadDir(j.req.WorkDir)
	if err != nil {
		return err
	}
	for _, f := range files {
		old := strings.HasPrefix(f.Name(), adapterPrefix)
		if old && !slices.ContainsFunc(j.state.Kept, func(k Checkpoint) bool { return k.Path == f.Name() }) {
			_ = os.Remove(filepath.Join(j.req.WorkDir, f.Name()))
		}
	}
	j.clock.restart()
	return nil
}
