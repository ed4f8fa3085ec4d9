"""A plain FastAPI handler, in JSON and with raw bytes. Arguments: PORT."""

import sys

import uvicorn
from fastapi import FastAPI, Request, Response
from pydantic import BaseModel

from benchmarks.compared_servers.one_thread import open_from_environment

app = FastAPI()
model = open_from_environment()


class Question(BaseModel):
    """A flat list of numbers."""

    data: list[float]


class Answer(BaseModel):
    """One score per class."""

    scores: list[float]


@app.post("/predict")
async def predict(question: Question) -> Answer:
    """In JSON; on the event loop, the fastest way for a fast model."""
    return Answer(scores=model.score_flat(question.data).tolist())


@app.post("/predict-raw")
async def predict_raw(request: Request) -> Response:
    """Raw bytes in and out."""
    return Response(model.score_bytes(await request.body()).tobytes(), media_type="application/octet-stream")


if __name__ == "__main__":
    uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[1]), loop="uvloop", http="httptools", log_level="warning", access_log=False)
