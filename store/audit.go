package store

import "time"

// Audit is one entry of the log of who did what. Detail never holds texts of examples.
type Audit struct {
	Seq    uint64    `json:"seq"`
	At     time.Time `json:"at"`
	Actor  string    `json:"actor"`  // key id, or "local" for the control socket
	Action string    `json:"action"` // such as "deploy"
	Object string    `json:"object"`
	Detail string    `json:"detail,omitempty"`
}

var audits = kind[Audit]{
	noun:  "audit entry",
	at:    auditSpace,
	parts: func(a *Audit) []string { return []string{number(a.Seq)} },
}

// AppendAudit adds an entry to the log. It gets the next number and a time.
func (s *Store) AppendAudit(a Audit) (Audit, error) {
	stamp(&a.At)
	return updating(s, func(x tx) (Audit, error) {
		var err error
		if a.Seq, err = x.next(auditLastSpace.key()); err != nil {
			return Audit{}, err
		}
		return a, audits.create(x, &a)
	})
}

// Audits returns at most limit (0: all) entries with numbers below one (0: the
// newest), newest first.
func (s *Store) Audits(below uint64, limit int) ([]Audit, error) {
	return viewing(s, func(x tx) ([]Audit, error) {
		sp := span{prefix: auditSpace.under(), reverse: true}
		if below > 0 {
			sp.after = auditSpace.key(number(below))
		}
		list, _, err := collect(audits.all(x, sp), limit, nil)
		return list, err
	})
}
