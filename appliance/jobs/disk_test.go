package jobs

import (
	"strings"
	"testing"

	"cloister/appliance/appliancetest"
	"cloister/appliance/models"
	"cloister/store"
)

// A nearly full disk is told of, and a full one ends the job before it starts.
func TestDiskSpace(t *testing.T) {
	st, home := appliancetest.Store(t)
	reg := models.New(st, nil, models.Config{Home: home})
	if _, err := reg.Import(t.Context(), appliancetest.GGUF(t), "tiny", true); err != nil {
		t.Fatal(err)
	}
	mask := appliancetest.Masking(t, st)
	masked, _, err := mask.MaskRecord([]string{"q", "a"})
	if err != nil {
		t.Fatal(err)
	}
	v, err := st.CreateVersion(t.Context(), store.NewVersion{Dataset: "d", Origin: "import", Examples: []store.NewExample{{
		Split: store.Train, Messages: []store.NewMessage{{Role: "user", Content: masked[0]}, {Role: "assistant", Content: masked[1]}},
	}}})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		free   uint64
		status store.JobStatus
		code   string
		told   string
	}{
		{100 << 20, store.JobFailed, "disk_full", "error: Only 100 MiB are free"},
		{900 << 20, store.JobSucceeded, "", "warn: Only 900 MiB are free"},
	} {
		m := New(st, &appliancetest.Trainer{}, reg, nil, Config{Home: home})
		m.free = func(string) (uint64, error) { return c.free, nil }
		job, err := m.Create(t.Context(), CreateRequest{Model: "tiny", Dataset: v.Dataset})
		if err != nil {
			t.Fatal(err)
		}
		if err := m.Start(); err != nil {
			t.Fatal(err)
		}
		var log strings.Builder
		err = m.Follow(t.Context(), job.ID, 0, func(e store.Event) error {
			log.WriteString(e.Level + ": " + e.Message + "\n")
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		job, err = m.Job(job.ID)
		if err != nil || job.Status != c.status || c.code != "" && job.Error.Code != c.code || !strings.Contains(log.String(), c.told) {
			t.Errorf("%d MiB: %+v, %v\n%s", c.free>>20, job, err, log.String())
		}
		if err := m.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
