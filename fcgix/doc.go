// Package fcgix serves FastCGI with net/http/fcgi on a gozd listener so that an
// upgrade loses no request.
//
// net/http/fcgi knows nothing of draining. fcgix follows the records on each
// connection: it knows which requests are begun and not yet answered, from
// BEGIN_REQUEST on and not only from the moment the handler runs. When the
// listener drains, a connection without the web server's keep_conn flag ends by
// itself. One with it moves to the successor between two requests; where it cannot
// move, it stays open until its next answer, which then leaves together with the
// end of the connection, so that the web server does not send another request in
// between.
package fcgix
