// Package drill causes failures of a running deployment for real and counts what became of the bids and reads of a
// steady load meanwhile.
//
// A drill has seven phases:
//
//  1. Feeds on some raffles are opened, then bids and reads begin at a steady pace.
//  2. The steps of the drill cause the failure, through ctl, and end it.
//  3. The load goes on until bids and reads have been answered again for a while.
//  4. New bids stop. Each bid under way is sent again with its key until its outcome is known.
//  5. The rows of the primary are compared with what was acknowledged and with every bid that any answer showed.
//  6. Each feed must have got each acknowledged bid of its raffle once.
//  7. The deployment must be whole again, and the read model equal to the primary.
//
// All that a drill knows of the deployment are the URLs of the front door and of the database, and ctl.
package drill
