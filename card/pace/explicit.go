package pace

import (
	"errors"
	"sync"

	"chipid/card/lds"
)

// Domain parameters of the card's own (PACEDomainParameterInfo, Doc 9303-11
// §9.2.2) stand in EF.CardAccess, which nobody has signed. So whoever answers for
// a card, or stands between it and the reader, may have chosen them. What could
// he gain?
//
// The password. The terminal sends, in this order, an ephemeral key over the
// generator that the nonce and so the password make, and a token that only who
// has the agreed secret can check. In a group where logarithms are easy that is
// all it takes: he tries each password, finds the generator it gives, the
// logarithm of the terminal's key to it, the secret, and compares the token. One
// run gives him the CAN, or, since its fields can be searched, the MRZ. Groups
// with a small subgroup, a smooth order, a composite field, a curve that is
// singular, anomalous or of small embedding degree are all of this kind.
//
// The channel. With the password in hand before the token times out he opens the
// genuine card himself, and reads along with everything that the terminal reads.
//
// So parameters are judged before a single octet depends on them, and what is not
// sound is passed over (lds.ParseUnsignedParameters): a curve over a prime field
// with a prime order of 224 bits or more and no cofactor, that is none of the weak
// kinds; a group modulo a prime of 2048 to 3072 bits, with a generator of known
// prime order of 224 bits or more. Then the only way to the password is a
// logarithm in a group of some 112 bits of strength, and every point and number
// that comes over the line is checked to be in it.
//
// What remains is a group with a trap that no judgement can find. For curves over
// prime fields none is known. For primes one is: p can be made so that the special
// number field sieve works for who knows how, which makes 2048 bits worth some 90
// instead of 110. That is out of reach of anybody who would stand next to a card
// for its CAN; the standardised groups were made so that it cannot be.
//
// A sound group gives him nothing, but that he chose it at all is a sign of
// somebody in between. So an inspection compares EF.CardAccess with the signed
// DG14, and where parameters of the card's own were used it wants to find them
// there (Offer.Own): without, the document is not called genuine.
//
// Judging costs time, a tenth of a second for a group of 3072 bits. A card has one
// set of its own; of one that lists many, the first two are looked at.
const maxJudged = 2

// judgeOnce puts the judgement off until somebody asks, and then keeps it. earlier
// is how many other sets the same card has.
func judgeOnce(explicit []byte, earlier int) func() (lds.DomainParameters, error) {
	return sync.OnceValues(func() (lds.DomainParameters, error) {
		if earlier >= maxJudged {
			return lds.DomainParameters{}, errors.New("the card has many sets of its own, only the first are looked at")
		}
		return lds.ParseUnsignedParameters(explicit)
	})
}

func (o Offer) judged() (lds.DomainParameters, error) {
	if o.judge != nil {
		return o.judge()
	}
	return lds.ParseUnsignedParameters(o.Explicit)
}

// Own gives the domain parameters where they are the card's own: an
// AlgorithmIdentifier of what no standard names. Nobody has signed them yet.
func (o Offer) Own() []byte {
	if o.Explicit == nil {
		return nil
	}
	if p, err := o.judged(); err != nil || p.Known() {
		return nil
	}
	return o.Explicit
}
