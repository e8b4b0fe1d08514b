// Package wsx has WebSockets move to the next generation between two messages, below any library that takes an http.ResponseWriter: gorilla/websocket,
// coder/websocket, golang.org/x/net/websocket. The program serves them with an httpx.Server, gives [New]'s Conn to its library in place of the
// ResponseWriter, and stops at [ErrDraining]:
//
//	srv := &httpx.Server{
//		Server: &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { serve(wsx.New(w, r), nil) })},
//		Resume: func(conn net.Conn, data []byte) {
//			if c, state, err := wsx.Resume(conn, data); err == nil {
//				serve(c, state)
//			}
//		},
//	}
//
//	func serve(c *wsx.Conn, state []byte) {
//		defer c.Close()
//		for {
//			ws, err := upgrader.Upgrade(c, c.Request(), nil) // gorilla's; websocket.Accept(c, c.Request(), nil) is coder's
//			if err != nil {
//				return
//			}
//			state, err = talk(ws, state) // until its ReadMessage fails
//			ws.Close()                   // not the connection, after ErrDraining
//			if !errors.Is(err, wsx.ErrDraining) || c.Handover(state) == nil {
//				return
//			}
//			// Nobody takes it: the library begins anew on it, and its client notices nothing.
//		}
//	}
package wsx
