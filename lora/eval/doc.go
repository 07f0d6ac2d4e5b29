// Package eval measures a tuned model beside its base: loss, exact match,
// token F1, ROUGE-L, key facts, the figures of a classifier where the answers
// are labels, agreement with human scores, a verdict on overfitting, and the
// gate that a release must pass.
//
// Everything here is a pure function of texts and numbers: no model, store or
// clock is touched, and everything is safe for concurrent use. The appliance's
// evaluate package asks the models and hands their answers over.
//
// # How texts are compared
//
// Words splits a text into comparable units; every text metric is defined on
// them. The rules, in order:
//
//   - The text is brought to NFC and case-folded.
//   - A character of Hangul, Han, Hiragana or Katakana is a unit of its own. In
//     Korean a particle is written onto its noun, so whole words differ where
//     the fact is the same; KorQuAD scores F1 by syllables for that reason. It
//     also makes a comparison blind to spaces between such characters, which
//     Korean writers set differently.
//   - Any other run of letters, marks, digits and underscores is one unit, so
//     the mask token <PERSON_3> is the unit "person_3".
//   - Between digits a comma or an apostrophe is dropped (1,200 is 1200) and a
//     point or colon kept (3.5 is not 35, 9:30 is one unit). Between letters an
//     apostrophe is dropped, and a point is after a single letter (a.m. is am).
//   - All other punctuation and white space separates units and is dropped.
//   - The English articles a, an and the are dropped, as in SQuAD's evaluation
//     script, unless nothing else is left (the answer to a multiple-choice
//     question may be "A").
package eval
