// Package inspect reads a card, and says whether to believe it. It is the only
// place in chipid where a verdict is decided.
//
// The two are kept apart. Read collects Evidence: every file as the chip gave
// it, and the transcripts of the protocols by which the chip proved itself.
// Check decides on Evidence alone, so that it comes to the same verdict at
// the counter and years later on another machine, where no chip is.
//
//	chip ──Read──▶ Evidence ──Check──▶ Report
//	                  │                   ▲
//	                  └──── disk, wire ───┘   trust store, time
//
// The checks, and what each proves (Doc 9303-11 §4 to §6):
//
//	accessControl          the chip was opened with what is printed on it; nobody took PACE away to weaken that
//	passiveAuthentication  the files are those that a document signer signed
//	trust                  that signer was appointed by an authority in the trust store, the one whose document this is
//	revocation             and has not been revoked since
//	chipAuthentication     the chip has the private key to the public key in the signed DG14: it is no copy
//	activeAuthentication   the same for DG15, by a signature over our challenge
//	terminalAuthentication whether we proved ourselves to the chip, which shows fingerprints to no others
//	validity               the document had not expired
//
// The verdict follows from them:
//
//	rejected      a check failed: this is evidence against the document
//	undetermined  nothing failed, but something that is needed is missing: a trust anchor, a revocation
//	              list where the policy asks for one, a proof by the chip that its signed files offer
//	genuine       nothing failed and nothing is missing
//
// What a document offers is taken from its signed files. EF.COM and
// EF.CardAccess are unsigned: whoever copies a chip can leave DG14 out of
// them, but not out of the hashes in EF.SOD. A document whose EF.SOD lists
// DG14 or DG15 and which is read without them is never genuine.
//
// A transcript of chip authentication convinces the one who took part in it,
// and whoever trusts that station: it holds the terminal's ephemeral key, as
// it must to be checked again, and with that key anybody could have written
// it. The transcript of PACE's chip authentication mapping is worth the same, and
// is about the key in EF.CardSecurity, which nothing ties to EF.SOD but the state
// that signed both: whoever does not trust the station cannot tell that it is not
// one card's proof beside another's files. A signature of active authentication
// convinces everybody, but says only that the chip was asked about this challenge
// by somebody.
package inspect
