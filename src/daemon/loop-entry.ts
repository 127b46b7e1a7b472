/** What the worker that governs is started with. */
import { runLoopThread } from './loop-thread.ts';

runLoopThread();
