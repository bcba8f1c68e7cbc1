// Package engine is what stands at the door of an engine: an API that lets in who
// shows a token of its organization.
//
// An engine that embeds it has a live copy of its organization's tokens (their
// hashes, never their secrets) and decides in its own memory who comes in, by the
// same rule as the platform:
//
//	door, err := engine.Open(ctx, engine.Config{
//		URL: "https://jeton.example.org", Token: os.Getenv("JETON_TOKEN"), Dir: "/var/lib/app/jeton",
//	})
//	if err != nil {
//		return err
//	}
//	defer door.Close()
//	guard := engine.Middleware(door, engine.Options{
//		Open: func(r *http.Request) bool { return r.URL.Path == "/healthz" },
//	})
//	return http.ListenAndServe(":8080", guard(api))
//
// Behind the guard, Identity says who is there. The token in Config is the engine's
// own access token, which its registration has answered.
//
// Promises:
//
//   - A check touches memory only, and allocates nothing.
//   - What the platform says holds from the moment it is read: a revocation is not
//     waited for, and is reported back as taken only when it is.
//   - Cut off from the platform, the copy goes on for Config.MaxStaleness and then
//     lets nobody in, whatever they show: not even with the verification token, and
//     not into an engine that is open, for neither may be so any more. Tokens expire
//     all the while. An engine that is to stand longer alone says so beforehand.
//   - That it is cut off it sees: the platform says each second how far it is, and a
//     gap, a silence of three seconds, and a line that cannot be are all cuts. After
//     a gap all is read again; until it is there the old copy goes on.
//   - Nothing older takes the place of what is known. A node of the platform that is
//     behind, or was cut off itself, is a cut: it cannot bring a revoked token back.
//     Only once the copy here is stale is an older one of the same log taken, so that
//     a platform that was restored from a backup locks nobody out for ever.
//   - When the platform says that the engine's token is not good, the copy lets
//     nobody in from then on, and its snapshot is removed. Only the platform says so,
//     in its own words: the 401 of a proxy on the way is a cut.
//   - A snapshot in Config.Dir that anybody has changed who does not have the access
//     token is not believed at all. An older one, put in its place, is believed no
//     longer than it would have been then.
//   - A request that still runs when its token is revoked, expires or loses its right,
//     or when the copy becomes stale, ends within Options.Again, if that is set.
//   - A secret that was rotated out and is shown here is reported to the platform, as
//     if it had been shown there. The platform does with its token what the
//     organization's policy says; whoever has the engine's access token can say so of
//     any secret that was rotated out, for an engine knows their hashes.
//   - Who comes in is told behind the guard in the context and, if asked for, in
//     headers. Headers of these names that come from outside are gone before.
//
// Words: platform (the service that keeps the tokens), door (how an engine decides;
// domain.Door), copy (what is known here of the organization), piece (a line of the
// stream that says how something is), mark (a line that says up to where all has
// been said), position (up to where that is), age (how long ago the last mark came),
// stale (older than is wanted), cut (no stream), refused (the platform has said that
// this engine is none).
//
// To add a way of asking (another proxy, another protocol): make a Presented of what
// it has, ask a Checker, and translate the Answer. Both the copy here and the
// platform itself are Checkers.
package engine
