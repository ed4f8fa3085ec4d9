BEGIN TRANSACTION;
CREATE TABLE annotations (
    id INTEGER PRIMARY KEY,
    sample_id INTEGER NOT NULL REFERENCES samples(id),
    label TEXT,                     -- NULL: a person took the label away
    source TEXT NOT NULL,           -- folder, column, person
    at TEXT NOT NULL,
    import_id INTEGER REFERENCES imports(id)
);
INSERT INTO "annotations" VALUES(1,1,'yes','column','2026-11-24T07:29:38.957Z',1);
INSERT INTO "annotations" VALUES(2,2,'no','column','2026-11-24T07:29:38.957Z',1);
INSERT INTO "annotations" VALUES(3,3,'no','column','2026-11-24T07:29:38.957Z',1);
INSERT INTO "annotations" VALUES(4,4,'no','column','2026-11-24T07:29:38.957Z',1);
INSERT INTO "annotations" VALUES(5,5,'yes','column','2026-11-24T07:29:38.957Z',1);
INSERT INTO "annotations" VALUES(6,6,'no','column','2026-11-24T07:29:38.957Z',1);
INSERT INTO "annotations" VALUES(7,7,'no','column','2026-11-24T07:29:38.957Z',1);
INSERT INTO "annotations" VALUES(8,8,'no','column','2026-11-24T07:29:38.957Z',1);
INSERT INTO "annotations" VALUES(9,9,'yes','column','2026-11-24T07:29:38.957Z',1);
INSERT INTO "annotations" VALUES(10,10,'no','column','2026-11-24T07:29:38.957Z',1);
INSERT INTO "annotations" VALUES(11,11,'no','column','2026-11-24T07:29:38.957Z',1);
INSERT INTO "annotations" VALUES(12,12,'no','column','2026-11-24T07:29:38.957Z',1);
INSERT INTO "annotations" VALUES(13,13,'yes','column','2026-11-24T07:29:38.957Z',1);
INSERT INTO "annotations" VALUES(14,14,'no','column','2026-11-24T07:29:38.957Z',1);
INSERT INTO "annotations" VALUES(15,15,'no','column','2026-11-24T07:29:38.957Z',1);
INSERT INTO "annotations" VALUES(16,16,'no','column','2026-11-24T07:29:38.957Z',1);
INSERT INTO "annotations" VALUES(17,17,'yes','column','2026-11-24T07:29:38.957Z',1);
INSERT INTO "annotations" VALUES(18,18,'no','column','2026-11-24T07:29:38.957Z',1);
INSERT INTO "annotations" VALUES(19,19,'no','column','2026-11-24T07:29:38.957Z',1);
INSERT INTO "annotations" VALUES(20,20,'no','column','2026-11-24T07:29:38.957Z',1);
INSERT INTO "annotations" VALUES(21,21,'yes','column','2026-11-24T07:29:38.957Z',1);
INSERT INTO "annotations" VALUES(22,22,'no','column','2026-11-24T07:29:38.957Z',1);
INSERT INTO "annotations" VALUES(23,23,'no','column','2026-11-24T07:29:38.957Z',1);
INSERT INTO "annotations" VALUES(24,24,'no','column','2026-11-24T07:29:38.957Z',1);
INSERT INTO "annotations" VALUES(25,25,'yes','column','2026-11-24T07:29:38.957Z',1);
INSERT INTO "annotations" VALUES(26,26,'no','column','2026-11-24T07:29:38.957Z',1);
INSERT INTO "annotations" VALUES(27,27,'no','column','2026-11-24T07:29:38.957Z',1);
INSERT INTO "annotations" VALUES(28,28,'no','column','2026-11-24T07:29:38.957Z',1);
INSERT INTO "annotations" VALUES(29,29,'yes','column','2026-11-24T07:29:38.957Z',1);
INSERT INTO "annotations" VALUES(30,30,'no','column','2026-11-24T07:29:38.957Z',1);
INSERT INTO "annotations" VALUES(31,31,'no','column','2026-11-24T07:29:38.957Z',1);
INSERT INTO "annotations" VALUES(32,32,'no','column','2026-11-24T07:29:38.957Z',1);
INSERT INTO "annotations" VALUES(33,33,'yes','column','2026-11-24T07:29:38.957Z',1);
INSERT INTO "annotations" VALUES(34,34,'no','column','2026-11-24T07:29:38.957Z',1);
INSERT INTO "annotations" VALUES(35,35,'no','column','2026-11-24T07:29:38.957Z',1);
INSERT INTO "annotations" VALUES(36,36,'no','column','2026-11-24T07:29:38.957Z',1);
INSERT INTO "annotations" VALUES(37,37,'yes','column','2026-11-24T07:29:38.957Z',1);
INSERT INTO "annotations" VALUES(38,38,'no','column','2026-11-24T07:29:38.957Z',1);
INSERT INTO "annotations" VALUES(39,39,'no','column','2026-11-24T07:29:38.957Z',1);
INSERT INTO "annotations" VALUES(40,40,'no','column','2026-11-24T07:29:38.957Z',1);
INSERT INTO "annotations" VALUES(41,10,'yes','person','2026-11-24T07:29:38.965Z',NULL);
CREATE TABLE columns (              -- of a table project, in the order of its first file
    position INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    kind TEXT NOT NULL,             -- float, integer, category
    target INTEGER NOT NULL DEFAULT 0
);
INSERT INTO "columns" VALUES(0,'size','float',0);
INSERT INTO "columns" VALUES(1,'count','integer',0);
INSERT INTO "columns" VALUES(2,'letter','category',0);
INSERT INTO "columns" VALUES(3,'kind','category',1);
CREATE TABLE imports (
    id INTEGER PRIMARY KEY,
    at TEXT NOT NULL,               -- ISO 8601, UTC
    source TEXT NOT NULL,           -- last part of the path as the user gave it, escaped for display
    report TEXT NOT NULL            -- ImportReport as JSON
);
INSERT INTO "imports" VALUES(1,'2026-11-24T07:29:38.958Z','known.csv','{"source":"known.csv","format":"csv-table","at":"2026-11-24T07:29:38.958Z","seconds":0.509,"taken":40,"duplicates":0,"unlabelled":0,"classes":{"no":30,"yes":10},"given_splits":{},"refused":[],"conflicts":[],"leaks":[],"missing":{},"notes":["delimiter: semicolon","the first row names the columns","target: ''kind'' (choose another with --target)"],"target":"kind","id":1}');
CREATE TABLE operations (           -- what a person did, for undo
    id INTEGER PRIMARY KEY,
    at TEXT NOT NULL,
    text TEXT NOT NULL,
    before TEXT NOT NULL,           -- JSON: list of {id, label, excluded, queued, conflict}
    annotation_from INTEGER NOT NULL DEFAULT 0,  -- ids of the annotations it made: from … (0: none)
    annotation_to INTEGER NOT NULL DEFAULT 0,    -- … to, which undo takes back
    undone INTEGER NOT NULL DEFAULT 0
);
INSERT INTO "operations" VALUES(1,'2026-11-24T07:29:38.965Z','label 1 sample as ''yes''','[{"id":10,"label":"no","excluded":0,"queued":0,"conflict":0}]',41,41,0);
CREATE TABLE samples (
    id INTEGER PRIMARY KEY,
    sha256 TEXT NOT NULL,           -- of the blob, or of `row` as canonical JSON
    occurrence INTEGER NOT NULL DEFAULT 0,  -- 1, 2, … for rows of a table that repeat; images never do
    group_key TEXT NOT NULL,        -- samples of one group stay in one split
    name TEXT NOT NULL,             -- escaped for display
    label TEXT,                     -- what training reads; NULL where unlabelled
    given_split TEXT NOT NULL DEFAULT '',   -- as the source's folders said
    split TEXT NOT NULL DEFAULT '', -- in the newest version, or 'acceptance'
    width INTEGER NOT NULL DEFAULT 0,
    height INTEGER NOT NULL DEFAULT 0,
    size_bytes INTEGER NOT NULL,
    row TEXT,                       -- canonical JSON of a table's row, target included
    excluded INTEGER NOT NULL DEFAULT 0,
    queued INTEGER NOT NULL DEFAULT 0,      -- waits in the labelling queue
    conflict INTEGER NOT NULL DEFAULT 0,    -- imports disagree on its label, no person has decided
    source TEXT NOT NULL,           -- import, try, device
    import_id INTEGER REFERENCES imports(id),
    predicted TEXT,
    predicted_score REAL,
    UNIQUE (sha256, occurrence)
);
INSERT INTO "samples" VALUES(1,'09bf285da0902e19adb8b4388756f661a0888197a4e6a32aa275f687bfd5e150',0,'c198abb74a3db2c03027f78ac45148c931e69b5d26bacf3168a07b1c5a5604f2','known.csv:2','yes','','validation',0,0,48,'{"count":0,"kind":"yes","letter":"b","size":0.0}',0,0,0,'import',1,NULL,NULL);
INSERT INTO "samples" VALUES(2,'573c22848a0a1da1f473511d4e426a945c918d54b9e992c6a3c9be678a7885df',0,'cb60a6038461e58549ede1aff05604140c7579a9cfb521187b643aad05dd6296','known.csv:3','no','','acceptance',0,0,49,'{"count":1,"kind":"no","letter":"ñ","size":0.125}',0,0,0,'import',1,NULL,NULL);
INSERT INTO "samples" VALUES(3,'f74d2f8821c8c75e3b951102cc9eac1887d00eb6d3bb7a21e7af3f637dc35417',0,'4c70ff0adf82d33d1fabe94d8c2a4fc5f042bcaa73558fa2f91b3c79590d4bbf','known.csv:4','no','','validation',0,0,48,'{"count":2,"kind":"no","letter":"b","size":0.25}',0,0,0,'import',1,NULL,NULL);
INSERT INTO "samples" VALUES(4,'ab3a7a9d9f406ea1f4923bce42747a42b0815a29b84573c78913adfc3f36afc4',0,'d7f6183894b426b4964d6f3b734c6e9821ce00e942f7f1a6986e70132f9e11a2','known.csv:5','no','','validation',0,0,49,'{"count":3,"kind":"no","letter":"ñ","size":0.375}',0,0,0,'import',1,NULL,NULL);
INSERT INTO "samples" VALUES(5,'e21db43ae1584e8b45140768186dfcc95537aa8baacc8274131ef1a708f73a91',0,'3f1153a6fbc027c4d5481ab128bebe156819f6b8655e508a4ea66403b3d281c2','known.csv:6','yes','','acceptance',0,0,48,'{"count":4,"kind":"yes","letter":"b","size":0.5}',0,0,0,'import',1,NULL,NULL);
INSERT INTO "samples" VALUES(6,'5caebeefcdd26077c159847f01ab1a20c404bce6e79a330b2be9b7f62947d2a4',0,'77e2462d43abc9070b0ecee27c205fb6c356a6df6b854d84c495e6b70c9531fd','known.csv:7','no','','acceptance',0,0,49,'{"count":0,"kind":"no","letter":"ñ","size":0.625}',0,0,0,'import',1,NULL,NULL);
INSERT INTO "samples" VALUES(7,'037141003e13ea2079eb90e9ddbdbef45c206d6a37fb4bcc9654cd6e7de2383b',0,'9ab6877a6d75bdbf294f95141d649c45e105a6026930133d4504ddb261388e2d','known.csv:8','no','','test',0,0,48,'{"count":1,"kind":"no","letter":"b","size":0.75}',0,0,0,'import',1,NULL,NULL);
INSERT INTO "samples" VALUES(8,'2a2fda603af80eadce57c7c71d1c3b45c3cf242fba3eb526b62157ad3e621cc6',0,'9c0c5c12932b2c8a9119deb468eedb4a08abe9101a7f3c64dad0c79cd8d42074','known.csv:9','no','','train',0,0,49,'{"count":2,"kind":"no","letter":"ñ","size":0.875}',0,0,0,'import',1,NULL,NULL);
INSERT INTO "samples" VALUES(9,'571523291d0be917092dd9e4d425c3b793abb5ba237ff12dc46d8434f4ee2404',0,'721c5e58816032b3392dc229dcd41c36d68a4aac89ff203d49c2aaa34e7073db','known.csv:10','yes','','test',0,0,48,'{"count":3,"kind":"yes","letter":"b","size":1.0}',0,0,0,'import',1,NULL,NULL);
INSERT INTO "samples" VALUES(10,'80888e2f5c9bee93d80e9bdc0bd49e8bfb265fdc7ebed8d61949ab8e5bae26c4',0,'6666aa726ec162348ffc9ded5340b17980642f8947dbf7f5f2616a64f058e786','known.csv:11','yes','','train',0,0,49,'{"count":4,"kind":"no","letter":"ñ","size":1.125}',0,0,0,'import',1,NULL,NULL);
INSERT INTO "samples" VALUES(11,'d79c6ca81a0b4b115cda65c3ec8afe86cd9a65447b7dc7e95a9eabf9905ad27a',0,'1a569c30d69b17171ddab4986646ad67989df78a82093a2f633323afcbcd3809','known.csv:12','no','','train',0,0,48,'{"count":0,"kind":"no","letter":"b","size":1.25}',0,0,0,'import',1,NULL,NULL);
INSERT INTO "samples" VALUES(12,'bad5eafc0df6a21612781c291814605f224b7a7382e6062d593516cd91fe5d16',0,'3ab97b2b217b1b8428763876f5331823958b2a5af0532376ae1e5d851cb2e3fd','known.csv:13','no','','train',0,0,49,'{"count":1,"kind":"no","letter":"ñ","size":1.375}',0,0,0,'import',1,NULL,NULL);
INSERT INTO "samples" VALUES(13,'d0a56e497a1ee19c3d67de4ca4f6a713e93f55459e41ad96358992d8ee08cdb6',0,'8a219d04416f2efb547bec30e803e46d4045615a5d5681e4dcceb5f3ded7244f','known.csv:14','yes','','train',0,0,48,'{"count":2,"kind":"yes","letter":"b","size":1.5}',0,0,0,'import',1,NULL,NULL);
INSERT INTO "samples" VALUES(14,'9d3ecdd50a0a1f0cc4b0915caa7a39c47991e462c2e7ba7e71de878e6dff8128',0,'9ee3f64419dd6e32e05c36044fb50fcc4e3a3adedfd8b21c7c171e542e806fe8','known.csv:15','no','','train',0,0,49,'{"count":3,"kind":"no","letter":"ñ","size":1.625}',0,0,0,'import',1,NULL,NULL);
INSERT INTO "samples" VALUES(15,'8bb033b53c068e1380b2ab6702008a581090bada38ac4641583f3177fbaaa3c6',0,'2ff8104f1f544c5ebe1db2b93cd8e3de1adb383ea6790cc740dd78a849494d15','known.csv:16','no','','acceptance',0,0,48,'{"count":4,"kind":"no","letter":"b","size":1.75}',0,0,0,'import',1,NULL,NULL);
INSERT INTO "samples" VALUES(16,'a415a4365282110aea71036e309c6a3a45b428f73f48fe41847c6b95b1b75487',0,'879f3fdc5fac90fa21b439c83d0ad0aa911961aa658af6193e87c47e6eeeb406','known.csv:17','no','','test',0,0,49,'{"count":0,"kind":"no","letter":"ñ","size":1.875}',0,0,0,'import',1,NULL,NULL);
INSERT INTO "samples" VALUES(17,'75b6e1373e2603d9a061f8cb74bdace1326acf58999f19b66ac949f08ffca70e',0,'2b73767177e2af70449d19c94569d2fca3dd90b92f790811515df3f2c7300951','known.csv:18','yes','','train',0,0,48,'{"count":1,"kind":"yes","letter":"b","size":2.0}',0,0,0,'import',1,NULL,NULL);
INSERT INTO "samples" VALUES(18,'382934b8e77b7a79c61a146f86a87889aac533dd37a9516d0497925349a06643',0,'ffa3efcb01caf11e0ca5adf7cafd2296c7f38883a77bb351d9fde3f42783b557','known.csv:19','no','','train',0,0,49,'{"count":2,"kind":"no","letter":"ñ","size":2.125}',0,0,0,'import',1,NULL,NULL);
INSERT INTO "samples" VALUES(19,'f82e39934d2bc21f125ee86f5bc36880a939dc5dcdc2423595e3ae8c4ee922ae',0,'6a19b845953efe72e436569d2b0e196baba7bb5468fd46769d70f34b6d1443a8','known.csv:20','no','','train',0,0,48,'{"count":3,"kind":"no","letter":"b","size":2.25}',0,0,0,'import',1,NULL,NULL);
INSERT INTO "samples" VALUES(20,'56dff73e693213e7043231e707b437ede16b7fd641a32074e57e1c666246d8ea',0,'78df284af01145f56c3f0deccc489323e1eb60a3e6bf8096aff4aadf1897db66','known.csv:21','no','','train',0,0,49,'{"count":4,"kind":"no","letter":"ñ","size":2.375}',0,0,0,'import',1,NULL,NULL);
INSERT INTO "samples" VALUES(21,'b778ac015b993d56912ffba216e54cb8d995e784354882d2628caf2223d19552',0,'eb0d6971028bc53479b3b1eb295081a741463c75e05c0402cf3e31c2801ba2ef','known.csv:22','yes','','train',0,0,48,'{"count":0,"kind":"yes","letter":"b","size":2.5}',0,0,0,'import',1,NULL,NULL);
INSERT INTO "samples" VALUES(22,'7069314d70fa94840a3fec79884011516043de8240e9b40c134a51fd3bad2284',0,'a08f780b7c6a4fca75053ca501b297dfac8ba5f4b5a6485ae96542e79eff57f4','known.csv:23','no','','train',0,0,49,'{"count":1,"kind":"no","letter":"ñ","size":2.625}',0,0,0,'import',1,NULL,NULL);
INSERT INTO "samples" VALUES(23,'c996dd2e5bbc55dbced8d3733ee66229caa1f1fb5b7b791eaf1bc06c11eba418',0,'da2bbd1434b4e6fffbf2311fefd43571ae84317dee92568bdb985ec70bdc96b1','known.csv:24','no','','train',0,0,48,'{"count":2,"kind":"no","letter":"b","size":2.75}',0,0,0,'import',1,NULL,NULL);
INSERT INTO "samples" VALUES(24,'2e9e45bfd1cbf2764e94f22395e84311ebc81816ea6df879f133e76c41773ae4',0,'386303b4d9e569867b2725ff0f67ce0efe2cd28fa9f476d311cfd12eaccab9c6','known.csv:25','no','','acceptance',0,0,49,'{"count":3,"kind":"no","letter":"ñ","size":2.875}',0,0,0,'import',1,NULL,NULL);
INSERT INTO "samples" VALUES(25,'04fde663a29503de3de56f86cd0413f60dd37f39e4b0428c8d78c30002cb82e3',0,'fadbecb53bbdef2e3ff6be82b9750730910be5dce8de8c22187f8ebaa5102590','known.csv:26','yes','','test',0,0,48,'{"count":4,"kind":"yes","letter":"b","size":3.0}',0,0,0,'import',1,NULL,NULL);
INSERT INTO "samples" VALUES(26,'563673d4bd2bd7c255a92d93df0f467e3ad9d4aa170f6452a273b903ba14e7ef',0,'fb56f79229bcf5d0782829789d8d03c62fd34202356903ae981c2bd6b96167e5','known.csv:27','no','','acceptance',0,0,49,'{"count":0,"kind":"no","letter":"ñ","size":3.125}',0,0,0,'import',1,NULL,NULL);
INSERT INTO "samples" VALUES(27,'56cfb3a68dd7b4dfd708f3c5cdb24e81fc3f163de790d733cee235ecfa754198',0,'ff49878db3e88b2b43a18e43f8812ce8154e4710e7aaf88c1d88eb4566784354','known.csv:28','no','','test',0,0,48,'{"count":1,"kind":"no","letter":"b","size":3.25}',0,0,0,'import',1,NULL,NULL);
INSERT INTO "samples" VALUES(28,'baa71216356cbf925de9e6e87ec6977eb7ff1db671f20eb123d44b1eec95eafd',0,'4b0cfe2326094564f14f70946b857dc78f6664e5d1c312330c600f708f36fd6e','known.csv:29','no','','train',0,0,49,'{"count":2,"kind":"no","letter":"ñ","size":3.375}',0,0,0,'import',1,NULL,NULL);
INSERT INTO "samples" VALUES(29,'e07476c659ee237dfc1dddefd4038167ae18fa9f3b5d57ebfaafb28a0a43fb01',0,'d80d154930a45e78b1e8e2f5454704bd35243d00f6bccc49b8d348fc7b737552','known.csv:30','yes','','train',0,0,48,'{"count":3,"kind":"yes","letter":"b","size":3.5}',0,0,0,'import',1,NULL,NULL);
INSERT INTO "samples" VALUES(30,'ea608a41b8c1a0cb692abf45b01882ecdc236c9dec9495d5195d9605a564c3b0',0,'94e7970ef63b92c4ed2ae9f9e042746acb76277c470f7eed659a1af497950d15','known.csv:31','no','','train',0,0,49,'{"count":4,"kind":"no","letter":"ñ","size":3.625}',0,0,0,'import',1,NULL,NULL);
INSERT INTO "samples" VALUES(31,'4f583d1c32005e81b2d1cc446f3310f7f6f4d5638a32c1e830b0f98c39bf0771',0,'619d7e1b3d09310c22d64f1a4ee6476382ca0b626da876f92daa48ac7340433d','known.csv:32','no','','train',0,0,48,'{"count":0,"kind":"no","letter":"b","size":3.75}',0,0,0,'import',1,NULL,NULL);
INSERT INTO "samples" VALUES(32,'4286ed06d712a0bdd77567ac773f4caeb0d09e64b1f06d75b5ee4b41c34f3ead',0,'eee4edb1db06e61a4c2c191ff3603dbf9618145cbf373aa6f5d9917f092de2de','known.csv:33','no','','train',0,0,49,'{"count":1,"kind":"no","letter":"ñ","size":3.875}',0,0,0,'import',1,NULL,NULL);
INSERT INTO "samples" VALUES(33,'0430ba444029f5efaa2bf2feeaf2319ebf72a1619d6218e34180a8780098bcc9',0,'4477366777d8676a692c08ec54a89f9dbe466f0b1aea50eee524f7f6098f8c50','known.csv:34','yes','','train',0,0,48,'{"count":2,"kind":"yes","letter":"b","size":4.0}',0,0,0,'import',1,NULL,NULL);
INSERT INTO "samples" VALUES(34,'ac48073e71c1aa2e1c8bb60831e0eb49744aad03e1025289ed992840783a7599',0,'2cc44aac49dcea58b54eb1b5efea250c4da622674b43208ad56655fe40aae664','known.csv:35','no','','validation',0,0,49,'{"count":3,"kind":"no","letter":"ñ","size":4.125}',0,0,0,'import',1,NULL,NULL);
INSERT INTO "samples" VALUES(35,'df7883e052359cef1962318a8fc5a7e4cb1795a933fc92986127d9bba2afd8c9',0,'78bce473fcf9b978ab6e1920f1efffefdcfa56d023cf5859d7e1342d5705ce6c','known.csv:36','no','','train',0,0,48,'{"count":4,"kind":"no","letter":"b","size":4.25}',0,0,0,'import',1,NULL,NULL);
INSERT INTO "samples" VALUES(36,'d57904c662ce0f402f1e827d0b6a379006cd6e184a79b295d5508bd5d33135bf',0,'4c7b17fa8a1f3be632e3574936774390890e69b47ee76660839aae9d64d43f3e','known.csv:37','no','','train',0,0,49,'{"count":0,"kind":"no","letter":"ñ","size":4.375}',0,0,0,'import',1,NULL,NULL);
INSERT INTO "samples" VALUES(37,'cb142dad5863673a5e2a414184138342fe30affdc8d7fda53f65d303464bf793',0,'3f502a7aaf164043ec6b902840354efba85c819882a682ddd0576fa7ccdf94e7','known.csv:38','yes','','validation',0,0,48,'{"count":1,"kind":"yes","letter":"b","size":4.5}',0,0,0,'import',1,NULL,NULL);
INSERT INTO "samples" VALUES(38,'5809f48ca0166655fdecacc7dcb7fd0f9bc81b21499fc2541ef7dcc898d01e63',0,'ea06fcc9a701e773d015607aa548ac6c7c4c5b693b3631da7182518cb9ddbab6','known.csv:39','no','','validation',0,0,49,'{"count":2,"kind":"no","letter":"ñ","size":4.625}',0,0,0,'import',1,NULL,NULL);
INSERT INTO "samples" VALUES(39,'00d63c2ea1a0904d17ffeff6cfa42c120199340258069e10c89936a87b9273e7',0,'1c2fc77b7f08ddce6d60cefcbac2cad86a7dec3b3a6a9d12552ab7fd8f10ae25','known.csv:40','no','','train',0,0,48,'{"count":3,"kind":"no","letter":"b","size":4.75}',0,0,0,'import',1,NULL,NULL);
INSERT INTO "samples" VALUES(40,'d6de45f26fec2e28d7218a20a0c26de173f688a805abb3fcee2faecb07a48ef0',0,'5ef792b12de8c2119780241f2e23636c8e9dc9bafd4964356cd31abfc464424e','known.csv:41','no','','test',0,0,49,'{"count":4,"kind":"no","letter":"ñ","size":4.875}',0,0,0,'import',1,NULL,NULL);
CREATE TABLE versions (
    number INTEGER PRIMARY KEY,
    digest TEXT NOT NULL UNIQUE,
    at TEXT NOT NULL
);
INSERT INTO "versions" VALUES(1,'2a241c2e5ffb0f9b6db9b207fa21466c3c76426dfc2ae83c9932081020722783','2026-11-24T07:29:38.968Z');
CREATE INDEX samples_label ON samples (label);
CREATE INDEX samples_split ON samples (split);
CREATE INDEX samples_group ON samples (group_key);
CREATE INDEX annotations_sample ON annotations (sample_id);
COMMIT;
PRAGMA user_version = 1;
