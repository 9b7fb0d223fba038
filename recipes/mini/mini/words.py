"""Word lists that the generators share. Everything here may be copied into a reply, so the lists are wide."""


def pool(text: str) -> tuple[str, ...]:
    """The different items of a text, separated by blanks, or by semicolons if there are any."""
    parts = text.split(";") if ";" in text else text.split()
    return tuple(dict.fromkeys(part.strip() for part in parts if part.strip()))


FIRST_NAMES = pool("""
Aaron Abby Abdul Ada Adam Adele Adrian Agnes Ahmed Aisha Akira Alan Albert Alex Alice Alina Amal Amanda Amara Amelie Amir Ana Anders Andrea Andrew Angela
Anita Anna Anton Antonio Arjun Arthur Asha Astrid Aurora Axel Ayla Barbara Beatriz Ben Benjamin Bianca Bjorn Boris Brenda Brian Bruno Camila Carl Carla
Carlos Carmen Caroline Catherine Cecilia Chad Chen Chiara Chloe Chris Clara Claire Claude Colin Connor Cora Cyrus Daisy Dalia Damien Dan Daniel Daphne
Daria David Deborah Dennis Diana Diego Dina Dmitri Dora Doris Douglas Dylan Edgar Edith Eduardo Edward Elena Eli Elias Elif Elise Eliza Ella Ellen Elsa
Emil Emily Emma Enzo Eric Erika Esther Ethan Eva Fabio Farah Fatima Felix Fiona Flora Francis Frank Freya Fred Gabriel Gareth Gemma George Gita Giulia Gloria
Grace Greta Gustav Hana Hannah Hans Harold Harry Hassan Hector Heidi Helen Henry Hiro Hugo Ian Ibrahim Ida Igor Ilya Imran Ines Ingrid Irene Iris Isaac
Isabel Ivan Ivy Jack Jacob Jade Jamal James Jamila Jan Jane Jasmine Jason Javier Jean Jenna Jens Jerome Joan Joao Joel John Jonas Jorge Joseph Josie Juan
Judith Julia Julien June Kamal Karen Karim Karin Karl Kate Kayla Keiko Ken Kevin Khalid Kim Kirsten Klaus Kofi Kurt Kyle Lara Lars Laura Lea Leila Lena Leo
Leon Leslie Liam Lila Lily Linda Lisa Liu Logan Lola Louis Luca Lucas Lucia Lucy Luis Luke Luna Lydia Magnus Malik Manuel Mara Marc Marcus Margot Maria
Marie Mario Marta Martin Mary Mateo Matilda Max Maya Megan Mehmet Mei Mia Miguel Mika Mila Milan Mina Miriam Mohamed Mona Monica Morgan Musa Nadia Naomi
Natalie Nathan Neil Nia Nicole Nikolai Nils Nina Noah Nora Norman Olaf Olga Oliver Olivia Omar Oscar Otto Pablo Paloma Pamela Patrick Paul Paula Pedro Penny
Peter Petra Philip Phoebe Pierre Priya Quentin Rachel Rafael Rahul Ralph Ramon Rania Ravi Rebecca Rene Rhys Rita Robert Robin Roland Rosa Rose Ruben Ruth
Ryan Sabine Said Sally Sam Samira Sandra Sanjay Sara Sasha Scott Sean Selma Serge Seth Shirin Simon Sofia Sonia Stefan Stella Steve Sue Sven Sylvia Tamara
Tania Tara Ted Teresa Thea Theo Thomas Tim Tina Toby Tom Tove Tracy Uma Ursula Valerie Vera Victor Vikram Vincent Viola Vivian Walter Wanda Wei Wendy
Willem William Xavier Yara Yasmin Yuki Yusuf Yves Zara Zoe Zoltan
""")
SURNAMES = pool("""
Abbott Adams Adler Ahmed Alvarez Andersen Archer Arnold Bailey Baker Banerjee Barker Barnes Bauer Becker Bell Bennett Berg Bergman Bianchi Bishop Black Blake
Bond Bauman Brandt Braun Brooks Brown Burke Burns Byrne Calder Campbell Cardoso Carlson Carr Carter Castillo Chan Chang Chapman Chen Clark Clarke Cohen Cole
Collins Conti Cook Cooper Costa Cox Cruz Cunha Curtis Dale Daly Das Davies Davis Dawson Dean Diaz Dixon Dubois Duncan Dunn Duval Eaton Eklund Ellis Engel
Evans Farrell Fernandez Ferrari Fischer Fisher Fleming Fletcher Flores Ford Foster Fox Frank Fraser Fuchs Garcia Gardner Gibson Gilbert Gomez Gonzalez Gordon
Graham Grant Gray Green Griffin Gupta Haas Hall Hamilton Hansen Harper Harris Hart Hayes Henry Hoffman Holm Holmes Howard Huang Hughes Hunt Hunter Hussain
Ibrahim Ivanov Jackson Jansen Jensen Johansson Johnson Jones Jordan Kaiser Kaplan Kato Kaur Keller Kelly Kennedy Khan Kim King Klein Koch Kovacs Kowalski
Kruger Kumar Lambert Lane Larsen Laurent Lee Lehmann Leroy Lewis Li Lind Lindgren Lopez Lund Mancini Marsh Marshall Martin Martinez Mason Mehta Mendes Meyer
Miller Mills Mitchell Moore Morales Moreau Moreno Morris Muller Murphy Murray Nakamura Nash Nelson Newman Nguyen Nielsen Nilsson Novak Nunez Oconnor Okafor
Olsen Ortiz Osman Owens Palmer Park Parker Patel Pearson Perez Perry Petersen Petrov Phillips Pinto Porter Powell Price Quinn Rahman Ramirez Ramos Rao Reed
Reid Reyes Richter Rivera Roberts Robinson Romero Rossi Roth Russell Russo Ryan Saito Sanchez Santos Sato Sanders Schmidt Schneider Schultz Scott Sharma Shaw
Silva Simmons Singh Smith Sokolov Sorensen Spencer Stein Stevens Stone Suarez Suzuki Tan Tanaka Taylor Thomas Thompson Torres Tran Turner Vargas Vega Vogel
Wagner Walker Wallace Walsh Wang Ward Watson Weber Weiss Wells West White Wilson Winter Wolf Wong Wood Wright Yamada Yang Young Zhang Zhou Zimmer
""")
CITIES = pool("""
Accra;Adelaide;Algiers;Amman;Amsterdam;Ankara;Antwerp;Athens;Atlanta;Auckland;Austin;Baghdad;Baku;Bangkok;Barcelona;Basel;Beijing;Beirut;Belfast;Belgrade;Bergen;
Berlin;Bern;Bilbao;Birmingham;Bogota;Bologna;Bonn;Bordeaux;Boston;Bratislava;Bremen;Brighton;Brisbane;Bristol;Brno;Brussels;Bucharest;Budapest;Buenos Aires;Cairo;
Calgary;Cambridge;Canberra;Cape Town;Caracas;Cardiff;Casablanca;Chennai;Chicago;Cologne;Copenhagen;Cork;Dakar;Dallas;Damascus;Delhi;Denver;Detroit;Dhaka;Doha;
Dresden;Dubai;Dublin;Durban;Edinburgh;Florence;Frankfurt;Geneva;Genoa;Ghent;Glasgow;Gothenburg;Graz;Grenoble;Hamburg;Hanoi;Hanover;Harare;Havana;Helsinki;
Hiroshima;Hobart;Hong Kong;Honolulu;Houston;Innsbruck;Istanbul;Jakarta;Jerusalem;Kabul;Kampala;Karachi;Kigali;Kingston;Krakow;Kyiv;Kyoto;Lagos;Lahore;Las Vegas;
Lausanne;Leeds;Leipzig;Lille;Lima;Linz;Lisbon;Liverpool;Ljubljana;London;Los Angeles;Luanda;Lyon;Madrid;Malaga;Malmo;Managua;Manchester;Manila;Maputo;Marrakesh;
Marseille;Melbourne;Memphis;Mexico City;Miami;Milan;Minsk;Montreal;Moscow;Mumbai;Munich;Nairobi;Nancy;Nantes;Naples;New York;Nice;Nicosia;Odessa;Oporto;Osaka;
Oslo;Ottawa;Oxford;Palermo;Panama City;Paris;Perth;Phoenix;Pisa;Porto;Portland;Prague;Quebec;Quito;Rabat;Reims;Rennes;Reykjavik;Riga;Rio de Janeiro;Rome;Rotterdam;
Salzburg;San Diego;Santiago;Sao Paulo;Sapporo;Sarajevo;Seattle;Seoul;Seville;Shanghai;Sheffield;Singapore;Skopje;Sofia;Split;Stockholm;Strasbourg;Stuttgart;Sydney;
Taipei;Tallinn;Tampere;Tbilisi;Tehran;Tirana;Tokyo;Toronto;Toulouse;Trieste;Tripoli;Tunis;Turin;Turku;Utrecht;Valencia;Valletta;Vancouver;Venice;Verona;Vienna;
Vilnius;Warsaw;Washington;Wellington;Winnipeg;Yerevan;York;Zagreb;Zurich
""")
COUNTRIES = pool("""
Argentina;Australia;Austria;Belgium;Bolivia;Brazil;Bulgaria;Canada;Chile;China;Colombia;Croatia;Cuba;Cyprus;Denmark;Ecuador;Egypt;Estonia;Ethiopia;Finland;France;Georgia;
Germany;Ghana;Greece;Hungary;Iceland;India;Indonesia;Iran;Iraq;Ireland;Israel;Italy;Jamaica;Japan;Jordan;Kenya;Latvia;Lebanon;Lithuania;Luxembourg;Malaysia;Malta;Mexico;
Mongolia;Morocco;Nepal;Netherlands;New Zealand;Nigeria;Norway;Oman;Pakistan;Panama;Peru;Poland;Portugal;Romania;Rwanda;Senegal;Serbia;Slovakia;Slovenia;South Africa;
Spain;Sudan;Sweden;Switzerland;Thailand;Tunisia;Turkey;Uganda;Ukraine;Uruguay;Vietnam;Zambia
""")
PRODUCTS = pool("""
apple;apricot;armchair;backpack;ball;banana;basket;bench;bicycle;blanket;blender;bookcase;boot;bottle;bowl;box;bracelet;brush;bucket;cable;calculator;calendar;camera;
candle;carpet;chair;chess set;clock;coat;coffee machine;comb;compass;cookbook;cup;curtain;cushion;desk;desk lamp;dictionary;doll;door handle;drill;drum;dress;envelope;fan;
flashlight;flute;folder;fork;frame;fridge;garden hose;glass;globe;glove;glue stick;guitar;hammer;hat;headset;heater;helmet;jacket;jar;jug;kettle;keyboard;kite;knife;ladder;
lamp;lantern;laptop;lemon;lens;lock;magnet;map;marker;mattress;microphone;mirror;mixer;monitor;mouse;mug;necklace;notebook;orange;oven;paint can;pan;pear;pen;pencil;pencil case;
phone;phone case;piano;pillow;plate;plum;poster;pot;printer;puzzle;radio;raincoat;ring;rope;router;rucksack;ruler;saddle;sandal;saw;scanner;scarf;scissors;screen;screwdriver;
shelf;shirt;shoe;shovel;skateboard;sofa;speaker;spoon;stapler;stool;suitcase;sweater;table;tablet;teapot;tent;ticket;toaster;torch;towel;toy car;tray;trumpet;umbrella;vacuum cleaner;
vase;violin;wallet;watch;water bottle;wheel;whistle;window;wrench
""")
ANIMALS = pool("""
ant badger bat bear beaver bee bison boar camel cat cheetah cobra cow crab crane crow deer dog dolphin donkey duck eagle eel elephant elk falcon ferret finch fox frog gecko
giraffe goat goose gorilla hamster hare hawk hedgehog hen heron horse hyena ibex iguana jackal jaguar kangaroo kiwi koala lemur leopard lion lizard llama lobster lynx magpie mole
monkey moose moth mouse mule newt octopus otter owl ox panda panther parrot pelican penguin pig pigeon pony puma python quail rabbit raccoon ram rat raven rhino robin salmon
seal shark sheep shrimp skunk sloth snail snake sparrow spider squid squirrel stork swan tiger toad trout turkey turtle viper vulture walrus wasp weasel whale wolf wombat yak zebra
""")
COLOURS = pool("red green blue yellow orange purple pink brown black white grey silver golden violet turquoise crimson beige navy teal amber")
ADJECTIVES = pool("""
ancient angry big bitter bold brave bright broken busy calm careful cheap clean clever cold cool curious damp dark deep dry dull dusty eager early easy empty famous fancy fast fierce
fine firm flat fresh gentle giant glad gloomy grand happy hard heavy hidden hollow honest hot huge hungry icy idle jolly keen kind large lazy light little lively lonely long loud lucky
mild modern narrow neat new noisy odd old open pale patient plain polite poor proud quick quiet rapid rare rich rough round rude sad salty sharp shiny short shy silent silly simple
slow small smart smooth soft sour square steep still strange strong sunny sweet swift tall tame tender thick thin tidy tiny tired tough warm weak wet wide wild wise young
""")
NOUNS = pool("""
acorn anchor arch arrow badge bakery barn barrel beach bell bird boat book border branch bread brick bridge broom butter button cabin cake canal canyon card castle cave cellar chain
chapel cheese chimney church circle circus cliff cloud coal coast coin copper corner cotton crown dam dawn desert diamond dinner dish door dragon dream dust ear earth echo edge egg
engine evening eye farm feather fence ferry field fire flag flame flower fog forest fountain garden gate ghost gift gold grain grass gravel harbor hat hill honey hook hotel house
ink iron island ivory jewel jungle key king kitchen lake lane leaf letter library lighthouse line mail market marble meadow medal melon metal mill mine mirror moon morning mountain
museum music nail needle nest net night nut oak ocean office oil orchard page palace paper path peak pearl pepper picture pilot pine pipe planet pocket pond prince queen quilt rail rain
rainbow ranch ribbon rice river road rock roof room root rose sail salt sand sea seed shadow shell ship shop silk sky smoke snow soap song soup spring stable stage stamp star
station steam stone storm story straw stream street sugar summer sun sword tail tea temple thread throne thunder tower town track train treasure tree tunnel valley velvet village
voice volcano wagon wall water wave wax well wheat wind window wine wing winter wood wool yard
""")
JOBS = pool("""
accountant;actor;architect;artist;baker;barber;biologist;builder;butcher;carpenter;chef;chemist;cleaner;coach;cook;dancer;dentist;designer;detective;doctor;driver;economist;editor;
electrician;engineer;farmer;firefighter;fisherman;florist;gardener;geologist;guide;historian;judge;journalist;lawyer;librarian;lifeguard;locksmith;manager;mechanic;musician;nurse;
optician;painter;pharmacist;photographer;physicist;pilot;plumber;poet;police officer;postman;professor;programmer;psychologist;reporter;sailor;sales manager;scientist;secretary;
shepherd;singer;soldier;surgeon;tailor;teacher;technician;translator;vet;waiter;watchmaker;web developer;writer
""")
COMPANY_ENDS = pool("Ltd;Inc;GmbH;Group;Labs;Systems;Foods;Motors;Energy;Media;Bank;Studio;Tools;Books;Partners;Airlines;Logistics;Software;Design;Consulting")
DEPARTMENTS = pool("sales;marketing;finance;legal;support;research;logistics;purchasing;accounting;design;security;training;production;quality;engineering")
MONTHS = pool("January February March April May June July August September October November December")
DAYS = pool("Monday Tuesday Wednesday Thursday Friday Saturday Sunday")
FRUITS = pool("apples pears plums cherries oranges lemons bananas peaches figs grapes mangoes melons kiwis limes berries nuts eggs tomatoes onions carrots potatoes cakes rolls cookies muffins")
SPORTS = pool("football tennis hockey rugby chess golf boxing rowing sailing skiing cycling swimming judo basketball volleyball cricket handball archery fencing surfing")
LANGUAGES = pool("English French Spanish German Italian Portuguese Dutch Polish Russian Arabic Hindi Japanese Korean Chinese Turkish Greek Swedish Danish Finnish Czech Hebrew Swahili")
CURRENCIES = pool("USD EUR GBP JPY CHF CAD AUD SEK NOK DKK PLN CZK HUF INR CNY BRL MXN ZAR TRY KRW")
